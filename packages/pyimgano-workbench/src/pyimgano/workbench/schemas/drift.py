"""The schemas of what drift is found by, and of what is found."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.monitor.image_statistics import STATISTICS
from pyimgano.workbench.monitor.reference import SCORE
from pyimgano.workbench.schemas.building import NUMBER, NUMBER_OR_NULL, TEXT, WHOLE, object_of, pair_of, value, version

__all__ = ["drift_schema", "image_statistics_schema", "window_schema"]


def image_statistics_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``artifacts/image_statistics.json``."""
    values = value("array", "One of each measured image, sorted.", items=NUMBER, minItems=1)
    category = object_of(
        {
            "n": value("integer", "Calibration images that were measured.", minimum=1),
            "statistics": object_of(dict.fromkeys(STATISTICS, values)),
        }
    )
    categories = value("object", "Category -> its calibration images.", additionalProperties=category)
    return object_of({"schema_version": version(number), "categories": categories})


def window_schema() -> dict[str, Any]:
    """Return the schema of the comparison of one window."""
    boolean = value("boolean")
    share = value("number", minimum=0, maximum=1)
    statistic = object_of(
        {
            "name": value("string", enum=[SCORE, *STATISTICS]),
            "ks": {**share, "description": "Kolmogorov-Smirnov distance to the calibration images."},
            "p_value": share,
            "psi": value("number", "Population stability index.", minimum=0),
            "reference_median": NUMBER,
            "window_median": NUMBER,
            "drift": boolean,
        }
    )
    rejects = object_of(
        {
            "count": WHOLE,
            "share": share,
            "interval": pair_of(NUMBER, "Clopper-Pearson, confidence 0.95."),
            "expected": NUMBER_OR_NULL,
            "p_value": NUMBER_OR_NULL,
            "drift": boolean,
        }
    )
    return object_of(
        {
            "window": value("integer", minimum=1),
            "n": value("integer", minimum=1),
            "first": value("string", "Name of its first image."),
            "last": TEXT,
            "drift": boolean,
            "alpha_each": value("number", "What each test may have falsely."),
            "statistics": value("array", items=statistic),
            "rejects": rejects,
        }
    )


def drift_schema(number: int) -> dict[str, Any]:
    """Return the schema of what ``runs drift --json`` prints."""
    windows = value("array", items=window_schema(), minItems=1)
    return object_of(
        {
            "schema_version": version(number),
            "drift": value("boolean", "Whether any window drifted."),
            "alpha": value("number", "Probability of any false alarm in all of them.", exclusiveMinimum=0),
            "tests": value("integer", "Among how many it is shared.", minimum=1),
            "records": object_of(dict.fromkeys(("scored", "errors", "too_few"), WHOLE)),
            "images": value("boolean", "Whether the images were measured, too."),
            "categories": value("object", "Category -> its windows.", additionalProperties=windows),
        }
    )
