"""The schema of a robustness benchmark's results."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.compare.schema import difference_schema
from pyimgano.workbench.schemas.building import (
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    WHOLE,
    object_of,
    value,
    version,
)
from pyimgano.workbench.schemas.metrics import METRIC, metric_schema

__all__ = ["robustness_schema"]

_DIFFERENCE = {"$ref": "#/$defs/difference"}
_RATES = ("overkill", "recall")
_METRICS = (*_RATES, "image_auroc")
_SEVERITY = value("integer", "1 to 5; 0 without drift.", minimum=0, maximum=5)


def robustness_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``robustness.json``."""
    run = object_of({"name": TEXT, "model": TEXT, "fingerprint": value("string", "SHA-256 over its report and cards.")})
    category = object_of(
        {
            "name": TEXT,
            "threshold": value("number", "The calibrated one: defective is score >= threshold."),
            "fingerprint": value("string", "SHA-256 over the ids and contents of the images."),
            **dict.fromkeys(("n_good", "n_defective"), WHOLE),
        }
    )
    result = {
        **dict.fromkeys(("n_good", "n_defective"), value("integer", "Images with a score.", minimum=0)),
        "errors": value("integer", "Images without a score.", minimum=0),
        "balanced_accuracy": value(["number", "null"], "(1 - overkill + recall) / 2."),
        "levels": object_of(dict.fromkeys(_METRICS, METRIC), description="Under this condition."),
        "changes": object_of(
            dict.fromkeys(_METRICS, _DIFFERENCE),
            optional=_METRICS,
            description="Against no drift, a: without, b: with, on images that both scored; empty without drift.",
        ),
    }
    condition = object_of(
        {
            "drift": value(["string", "null"], "A component of kind 'augment'; null: the images as they are."),
            "severity": _SEVERITY,
            **result,
            "categories": value("object", "Category -> the same of it.", additionalProperties=object_of(result)),
        }
    )
    error = object_of(
        {"drift": TEXT_OR_NULL, "severity": _SEVERITY, **dict.fromkeys(("category", "image", "error"), TEXT)}
    )
    properties = {
        "schema_version": version(number),
        "version": value("string", "Of pyimgano, which measured."),
        "run": run,
        "dataset": TEXT,
        "own_images": value("boolean", "Whether the images are the run's own test images, by content."),
        "seed": WHOLE,
        "limit": value(["integer", "null"], "Images of each category, at most.", minimum=1),
        "resamples": WHOLE,
        "drifts": TEXTS,
        "severities": value("array", items=_SEVERITY),
        "categories": value("array", items=category, minItems=1),
        "summary": _summary(),
        "conditions": value("array", "The images as they are first.", items=condition),
        "n_errors": value("integer", "Scores that are missing, over all conditions.", minimum=0),
        "errors": value("array", "The first 100.", items=error),
        "notes": TEXTS,
        "comparison": {"anyOf": [_comparison(run), {"type": "null"}]},
    }
    return {**object_of(properties), "$defs": {"metric": metric_schema(), "difference": difference_schema()}}


def _summary() -> dict[str, Any]:
    levels = dict.fromkeys(("balanced_accuracy", *_METRICS), NUMBER_OR_NULL)
    worst = object_of({"drift": TEXT, "severity": _SEVERITY, **levels}, description="Lowest balanced accuracy.")
    by_drift = object_of({"drift": TEXT, **levels}, description="Mean over the severities.")
    means = ("balanced_accuracy_lost", "overkill_gained", "recall_lost", "image_auroc")
    return object_of(
        {
            "retained": {
                **METRIC,
                "description": "Mean of (recall - overkill) over the conditions, divided by the same without drift.",
            },
            **{name: {**METRIC, "description": "Mean over the conditions."} for name in means},
            "worst": {"anyOf": [worst, {"type": "null"}]},
            "by_drift": value("array", items=by_drift),
        }
    )


def _comparison(run: dict[str, Any]) -> dict[str, Any]:
    rates = dict.fromkeys(_RATES, _DIFFERENCE)
    every = dict.fromkeys(_METRICS, _DIFFERENCE)
    matching = object_of(
        {
            "category": TEXT,
            "k": value("integer", "Defective images that A's frozen threshold finds without drift.", minimum=0),
            "n": value("integer", "Defective images.", minimum=0),
            "threshold_a": value(["number", "null"], "The highest that finds k of them in A."),
            "threshold_b": value(["number", "null"], "The highest that finds k of them in B."),
        }
    )
    condition = object_of(
        {"drift": TEXT, "severity": _SEVERITY, "frozen": object_of(every), "matched": object_of(rates)}
    )
    return object_of(
        {
            "a": run,
            "b": run,
            "answer": value("array", "Sentences.", items=TEXT),
            "clean": object_of(every, description="Without drift, at the frozen thresholds."),
            "frozen": object_of(rates, description="Means over the conditions, at the frozen thresholds."),
            "matched": object_of(rates, description="Means over the conditions, at equal recall without drift."),
            "matching": value("array", items=matching),
            "conditions": value("array", items=condition),
            "notes": TEXTS,
        },
        description="Run B, the one of this file, against run A; differences are B - A.",
    )
