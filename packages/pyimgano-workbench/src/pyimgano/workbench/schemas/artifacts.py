"""The schemas of what a run leaves for inference and for the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyimgano.workbench.schemas.building import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXTS,
    WHOLE,
    object_of,
    pair_of,
    value,
    version,
)
from pyimgano.workbench.schemas.decisions import ROI, postprocess_schema, region_rules_schema

__all__ = ["environment_schema", "fitted_models_schema", "infer_config_schema", "split_schema", "submission_schema"]


def infer_config_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``artifacts/infer_config.json``."""
    return fitted_models_schema(
        number, {"checkpoint": value("string", "The detector's folder, relative to this file.")}
    )


def fitted_models_schema(number: int, detector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of what inference reads of fitted models; ``detector`` says where that of a category lies."""
    category = object_of(
        {
            "name": TEXT,
            **detector,
            "threshold": NUMBER,
            "review_threshold": NUMBER_OR_NULL,
            "pixel_threshold": NUMBER_OR_NULL,
            "map_low": NUMBER_OR_NULL,
            "roi": ROI,
        },
        optional=("roi",),
    )
    return object_of(
        {
            "schema_version": version(number),
            "model": TEXT,
            "params": value("object", "Of the model."),
            "value_range": pair_of(NUMBER, "Values that become black and white.", null=True),
            "regions": region_rules_schema(),
            "postprocess": postprocess_schema(),
            "categories": value("array", items=category, minItems=1),
        },
        optional=("postprocess",),
    )


def split_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``artifacts/split.json``."""
    more = ("defects", "train_defects", "normalisation", "roi")
    sets = ("fit", "calibration", "test", *more)
    prints = dict.fromkeys(sets, value("string", pattern="^[0-9a-f]{64}$"))
    images = value("array", "Ids: paths relative to the dataset's root.", items=TEXT)
    category = object_of(
        {
            **dict.fromkeys(("fit", "calibration", "test"), images),
            "calibration_source": value("string", enum=["validation", "hold-out", "cross"]),
            "fingerprints": object_of(prints, optional=more),
            "defects": {**images, "description": "Labelled defective images that helped to find the threshold."},
            "train_defects": {**images, "description": "Labelled defective images that the model learned from."},
            "normalisation": {**images, "description": "Held-out good images that rules on maps learned from."},
            "folds": value("array", "Of cross-conformal calibration.", items=TEXTS),
        },
        optional=("defects", "train_defects", "normalisation", "folds"),
    )
    categories = value("object", "Category -> its images.", additionalProperties=category)
    return object_of({"schema_version": version(number), "seed": WHOLE, "categories": categories})


def environment_schema(number: int) -> dict[str, Any]:
    """Return the schema of a run's ``environment.json``."""
    return object_of(
        {
            "schema_version": version(number),
            **dict.fromkeys(("python", "implementation", "platform", "machine"), TEXT),
            "packages": value("object", "Distribution -> version.", additionalProperties=TEXT),
            "cpu_count": value(["integer", "null"], minimum=1),
            "threads": value("object", "Variables that set the number of threads.", additionalProperties=TEXT),
            "device": value("string", "The accelerator, or cpu."),
        }
    )


def submission_schema(number: int) -> dict[str, Any]:
    """Return the schema of the file beside a submission."""
    split = object_of({"images": WHOLE, "clipped_pixels": value("integer", "Beyond what 16 bits hold.", minimum=0)})
    one = object_of(
        {
            "pixel_threshold": NUMBER,
            "map_low": NUMBER,
            "splits": value("object", "Private split -> what was written.", additionalProperties=split),
        }
    )
    return object_of(
        {
            "schema_version": version(number),
            "dataset": TEXT,
            "run": TEXT,
            "model": TEXT,
            "values": value("string", "What the numbers of the maps are."),
            "min_area": value("integer", "Regions of fewer pixels are not in the masks.", minimum=0),
            "objects": value("object", "Object -> what its maps were made with.", additionalProperties=one),
            "gaps": value("array", "What a complete submission would have.", items=TEXT),
        }
    )
