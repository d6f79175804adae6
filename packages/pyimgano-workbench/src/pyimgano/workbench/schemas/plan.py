"""The schema of what a dry run prints."""

from __future__ import annotations

from typing import Any

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

__all__ = ["plan_schema"]


def plan_schema(number: int) -> dict[str, Any]:
    """Return the schema of what ``train --dry-run --json`` prints."""
    whole_or_null = value(["integer", "null"], minimum=0)
    images = ("fit", "calibration", "folds", "test_good", "test_defective", "test_unlabelled")
    estimate = object_of(
        {
            "state_bytes": value("integer", "Of the arrays that the fitted detector saves.", minimum=0),
            "working_bytes": whole_or_null,
            "fit_seconds": NUMBER_OR_NULL,
            "image_seconds": NUMBER_OR_NULL,
            "patches": whole_or_null,
            "bank": value(["array", "null"], "Rows and dimension.", items=WHOLE, minItems=2, maxItems=2),
            "steps": whole_or_null,
            "assumptions": TEXTS,
            "calibration_seconds": NUMBER_OR_NULL,
            "test_seconds": NUMBER_OR_NULL,
            "peak_bytes": whole_or_null,
        }
    )
    category = object_of(
        {
            "name": TEXT,
            "images": object_of(dict.fromkeys(images, WHOLE)),
            "estimate": {"anyOf": [estimate, {"type": "null"}]},
            "not_estimated": {**TEXT_OR_NULL, "description": "Why there is no estimate."},
        }
    )
    plan = object_of(
        {
            "schema_version": version(number),
            "recipe": TEXT,
            "preset": TEXT_OR_NULL,
            "model": TEXT,
            "calibration": value("string", "In words."),
            "categories": value("array", items=category, minItems=1),
            "seconds": NUMBER_OR_NULL,
            "peak_bytes": whole_or_null,
        }
    )
    return object_of({"config": value("object", "The resolved config: pyimgano schema run-config."), "plan": plan})
