"""The schemas of the reports of a run and of its categories."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    WHOLE,
    object_of,
    pair_of,
    value,
    version,
)
from pyimgano.workbench.schemas.calibration import CARD, card_schema
from pyimgano.workbench.schemas.decisions import postprocess_report_schema, region_report_schema
from pyimgano.workbench.schemas.finetuning import finetune_schema
from pyimgano.workbench.schemas.metrics import METRIC, METRICS, metric_schema

__all__ = ["category_report_schema", "report_schema"]


def report_schema(number: int) -> dict[str, Any]:
    """Return the schema of a run's ``report.json``."""
    category = object_of(
        {
            "name": TEXT,
            "folder": TEXT,
            "report": value("string", "The category's report, relative to this file."),
            **dict.fromkeys(("n_fit", "n_calibration", "n_test", "n_test_good", "n_test_defective"), WHOLE),
            "threshold": NUMBER,
            "metrics": METRICS,
        }
    )
    mean = object_of({"value": NUMBER_OR_NULL, "n_categories": WHOLE, "of": WHOLE})
    properties = {
        "schema_version": version(number),
        "run": value("string", "Name of the run."),
        "finished": value("string", "UTC time.", format="date-time"),
        "recipe": TEXT,
        "preset": TEXT_OR_NULL,
        "model": TEXT,
        "seed": WHOLE,
        "dataset": TEXT,
        "n_test": WHOLE,
        "categories": value("array", items=category),
        "means": value(
            "object", "Metric -> mean over the categories in which it is defined.", additionalProperties=mean
        ),
        "errors": object_of({"n": WHOLE, "max_errors": WHOLE, "tolerated": value("boolean")}),
        "skipped": value("integer", "Unreadable training images that were left out.", minimum=0),
        "warnings": TEXTS,
        "notes": TEXTS,
    }
    return {**object_of(properties), "$defs": {"metric": metric_schema()}}


def category_report_schema(number: int, *, card: int, record: int) -> dict[str, Any]:
    """Return the schema of a category's ``report.json``.

    Parameters
    ----------
    number, card, record : int
        Versions of the report, of the calibration card in it, and of the records beside it.
    """
    properties = {
        "schema_version": version(number),
        "category": TEXT,
        "per_image": value("string", "The records, relative to this file."),
        "per_image_schema": value("integer", "Version of the records.", const=record),
        "data": _data(),
        "calibration": CARD,
        "metrics": METRICS,
        "confusion": _confusion(),
        "by_defect": value(
            "object", "Kind of defect -> its images against all good ones.", additionalProperties=_by_defect()
        ),
        "by_group": value("object", "Group -> its images; empty without groups.", additionalProperties=_by_group()),
        "decisions_and_regions": {
            "anyOf": [
                object_of(
                    dict.fromkeys(("good_with_regions", "defective_without_regions"), WHOLE),
                    description="Images whose decision and regions disagree: each has a threshold of its own.",
                ),
                {"type": "null"},
            ]
        },
        "postprocess": postprocess_report_schema(),
        "regions": region_report_schema(),
        "curves": value("string", "The curves, relative to this file."),
        "errors": value("array", "Test images without a score.", items=_failure()),
        "warnings": TEXTS,
        "timing": object_of(
            {
                "fit_seconds": NUMBER,
                "test_seconds": NUMBER,
                "test_ms_per_image": NUMBER_OR_NULL,
            }
        ),
        "adapt": _adapt(),
        "finetune": finetune_schema(),
    }
    return {
        **object_of(properties, optional=("adapt", "finetune", "postprocess", "regions")),
        "$defs": {"metric": metric_schema(), "card": card_schema(card)},
    }


def _adapt() -> dict[str, Any]:
    drift = object_of(
        {
            "name": TEXT,
            "params": value("object", "Of the component, without the severity.", additionalProperties=True),
            "severity": pair_of(WHOLE, "Lowest and highest."),
            "probability": value("number", "Share of the images that get it.", exclusiveMinimum=0, maximum=1),
        }
    )
    return object_of(
        {
            "drifts": value("array", "In the order that they are applied in.", items=drift),
            "copies": value(
                "integer",
                "Drifted copies of each good image in a fit or a memory; 0 where only steps saw drifts.",
                minimum=0,
            ),
        },
        description="Drifts of the good images that the model learned from, where there are any.",
    )


def _failure() -> dict[str, Any]:
    return object_of({"image": TEXT, "error": TEXT})


def _data() -> dict[str, Any]:
    more = ("defects", "train_defects", "normalisation", "roi")
    sets = ("fit", "calibration", "test", *more)
    prints = dict.fromkeys(sets, value("string", pattern="^[0-9a-f]{64}$"))
    return object_of(
        {
            **dict.fromkeys(("n_fit", "n_calibration"), WHOLE),
            "calibration_source": value("string", enum=["validation", "hold-out", "cross"]),
            "n_calibration_defects": value("integer", "Defective images that help to find the threshold.", minimum=0),
            "n_train_defects": value("integer", "Defective images that the model learned from.", minimum=1),
            "n_normalisation": value("integer", "Held-out good images that rules on maps learned from.", minimum=1),
            "n_folds": value("integer", "Of cross-conformal calibration, else 0.", minimum=0),
            **dict.fromkeys(("n_test", "n_test_good", "n_test_defective", "n_test_unlabelled"), WHOLE),
            "fingerprints": object_of(
                prints,
                optional=more,
                description="SHA-256 over the ids and contents of the images.",
            ),
            "skipped": value("array", "Unreadable training images that were left out.", items=_failure()),
            "notes": TEXTS,
        },
        optional=("n_train_defects", "n_normalisation"),
    )


def _confusion() -> dict[str, Any]:
    review = ("review_good", "review_defective")
    decided = ("rejected_defective", "rejected_good", "passed_good", "passed_defective")
    return object_of(
        dict.fromkeys((*decided, *review), WHOLE),
        optional=review,
        description="Test images by what the thresholds do with them; review_* where there is a review band.",
    )


def _by_defect() -> dict[str, Any]:
    always = {"n": WHOLE, "image_auroc": METRIC, "recall": METRIC, "escape": METRIC}
    schema = object_of({**always, "region_recall": METRIC}, optional=("region_recall",))
    return {**schema, "patternProperties": {r"^au_spro_[0-9.e-]+$": METRIC}}


def _by_group() -> dict[str, Any]:
    return object_of(
        {"n_good": WHOLE, "n_defective": WHOLE, "image_auroc": METRIC, "overkill": METRIC, "escape": METRIC}
    )
