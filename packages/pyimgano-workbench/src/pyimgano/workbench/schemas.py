"""JSON Schemas (draft 2020-12) of what pyimgano reads and writes, for tools in other languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMAS", "json_schema"]

SCHEMAS: Mapping[str, str] = {
    "run-config": "a run config: what `train --config` reads, and a run's config.json",
    "per-image": "one line of a run's per_image.jsonl, and of the JSONL that `infer` writes",
    "report": "a run's report.json",
    "category-report": "a category's report.json in a run",
    "calibration-card": "a run's artifacts/calibration_card.json",
    "comparison": "what `runs compare --json` prints",
}
"""Name → what it describes."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema called ``name``, one of :data:`SCHEMAS`.

    Raises
    ------
    KeyError
        When there is none of that name.
    """
    if name == "run-config":
        from pyimgano.workbench.config import run_config_schema

        return run_config_schema()
    from pyimgano.workbench.compare.schema import comparison_schema

    makers = {
        "per-image": _per_image,
        "report": _report,
        "category-report": _category_report,
        "calibration-card": _calibration_cards,
        "comparison": comparison_schema,
    }
    return {"$schema": DRAFT, "title": name, "description": SCHEMAS[name], **makers[name]()}


def _object(
    properties: Mapping[str, Any], *, optional: tuple[str, ...] = (), more: bool = False, description: str = ""
) -> dict[str, Any]:
    """Return the schema of an object whose properties are required unless named in ``optional``."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "required": [key for key in properties if key not in optional],
        "additionalProperties": more,
    }
    return {"description": description, **schema} if description else schema


def _value(kind: Any, description: str = "", **more: Any) -> dict[str, Any]:
    return {"type": kind, **({"description": description} if description else {}), **more}


TEXT, WHOLE, NUMBER = _value("string"), _value("integer", minimum=0), _value("number")
TEXTS = {"type": "array", "items": TEXT}


def _per_image() -> dict[str, Any]:
    properties = {
        "image": _value("string", "Path relative to the dataset's root, or as it was given to `infer`; with '/'."),
        "category": _value("string", "Object or texture."),
        "label": _value("integer", "0 good, 1 defective; absent where unknown.", enum=[0, 1]),
        "defect": _value("string", "Kind of defect, as the dataset names it."),
        "score": _value("number", "Raw image score; higher is more anomalous. Absent beside 'error'."),
        "threshold": _value("number", "Defective is score >= threshold."),
        "decision": _value("string", enum=["good", "defective"]),
        "p_value": _value(
            "number",
            "(1 + number of held-out good images that score at least as high) / (n + 1).",
            exclusiveMinimum=0,
            maximum=1,
        ),
        "map": _value("string", "Raw anomaly map, relative to this file: 32-bit float TIFF at source size."),
        "mask": _value("string", "Mask of what reaches the pixel threshold, relative to this file: PNG, 0/255."),
        "overlay": _value("string", "Picture with the heat-map, relative to this file: PNG."),
        "error": _value("string", "Why there is no score, and so no decision."),
    }
    optional = tuple(name for name in properties if name != "image")
    scored = {"required": ["score"], "not": {"required": ["error"]}}
    failed = {"required": ["error"], "not": {"anyOf": [{"required": ["score"]}, {"required": ["decision"]}]}}
    return {**_object(properties, optional=optional), "oneOf": [scored, failed]}


def _metric() -> dict[str, Any]:
    properties = {
        "value": _value(["number", "null"], "Null where it is not defined; 'reason' says why."),
        "n": _value("object", "What it was counted on.", additionalProperties=WHOLE),
        "reason": TEXT,
    }
    return _object(properties, optional=("reason",), more=True, description="A number with what it was counted on.")


def _card() -> dict[str, Any]:
    number_or_null = _value(["number", "null"])
    distribution = dict.fromkeys(("min", "q05", "q25", "median", "q75", "q95", "max", "mean"), NUMBER)
    distribution["sd"] = _value(["number", "null"], "Null for one image.")
    properties = {
        "schema_version": _value("integer", const=2),
        "method": _value("string", "A component of kind 'threshold'."),
        "params": {"type": "object"},
        "alpha": _value("number", "Overkill that was allowed.", exclusiveMinimum=0, exclusiveMaximum=1),
        "n": _value("integer", "Number of good images whose scores the threshold rests on.", minimum=1),
        "source": _value("string", "Where they come from.", enum=["validation", "hold-out", "cross"]),
        "threshold": _value("number", "Defective is score >= threshold."),
        "review_alpha": _value(["number", "null"], "Share of good images that may go to a person; null without."),
        "review_threshold": _value(["number", "null"], "From here to the threshold: review. Null: no such band."),
        "guarantee": _value("string", "What the threshold promises."),
        "interval": {
            **_value(["array", "null"], "Overkill of new good images to expect, given these.", items=NUMBER),
            "minItems": 2,
            "maxItems": 2,
        },
        "confidence": number_or_null,
        "interval_method": _value(["string", "null"], "Law that the interval is from."),
        "interval_reason": _value(["string", "null"], "Why there is no interval."),
        "details": _value("object", "What the method fitted on the way."),
        "pixel_method": _value(["string", "null"], "Null without maps, as all of pixel_*."),
        "pixel_params": _value(["object", "null"]),
        "pixel_alpha": number_or_null,
        "pixel_threshold": _value(["number", "null"], "For the maxima of the maps; null without maps."),
        "map_low": _value(["number", "null"], "What the maps of good images usually show; null without maps."),
        "fingerprint": _value("string", "SHA-256 over the ids and contents of these images."),
        "n_defects": _value("integer", "Labelled defective images that took part.", minimum=0),
        "defects_fingerprint": _value(["string", "null"], "SHA-256 over their ids and contents."),
        "distribution": _object(distribution, description="Of the scores."),
        "held_out_scores": _value("array", "Sorted.", items=NUMBER),
    }
    return _object(properties, description="A threshold and its provenance.")


def _calibration_cards() -> dict[str, Any]:
    cards = _value("object", "Category -> its card.", additionalProperties={"$ref": "#/$defs/card"})
    properties = {"schema_version": _value("integer", const=1), "categories": cards}
    return {**_object(properties), "$defs": {"card": _card()}}


def _report() -> dict[str, Any]:
    category = _object(
        {
            "name": TEXT,
            "folder": TEXT,
            "report": _value("string", "The category's report, relative to this file."),
            **dict.fromkeys(("n_fit", "n_calibration", "n_test", "n_test_good", "n_test_defective"), WHOLE),
            "threshold": NUMBER,
            "metrics": _value("object", additionalProperties={"$ref": "#/$defs/metric"}),
        }
    )
    mean = _object({"value": _value(["number", "null"]), "n_categories": WHOLE, "of": WHOLE})
    properties = {
        "schema_version": _value("integer", const=1),
        "run": _value("string", "Name of the run."),
        "finished": _value("string", "UTC time.", format="date-time"),
        "recipe": TEXT,
        "preset": _value(["string", "null"]),
        "model": TEXT,
        "seed": WHOLE,
        "dataset": TEXT,
        "n_test": WHOLE,
        "categories": _value("array", items=category),
        "means": _value(
            "object", "Metric -> mean over the categories in which it is defined.", additionalProperties=mean
        ),
        "errors": _object({"n": WHOLE, "max_errors": WHOLE, "tolerated": _value("boolean")}),
        "skipped": _value("integer", "Unreadable training images that were left out.", minimum=0),
        "warnings": TEXTS,
        "notes": TEXTS,
    }
    return {**_object(properties), "$defs": {"metric": _metric()}}


def _category_report() -> dict[str, Any]:
    failure = _object({"image": TEXT, "error": TEXT})
    data = _object(
        {
            **dict.fromkeys(("n_fit", "n_calibration"), WHOLE),
            "calibration_source": _value("string", enum=["validation", "hold-out", "cross"]),
            **dict.fromkeys(("n_calibration_defects", "n_folds"), WHOLE),
            **dict.fromkeys(("n_test", "n_test_good", "n_test_defective", "n_test_unlabelled"), WHOLE),
            "fingerprints": _object(
                dict.fromkeys(("fit", "calibration", "test", "defects"), TEXT), optional=("defects",)
            ),
            "skipped": _value("array", items=failure),
            "notes": TEXTS,
        }
    )
    timing = _object(
        {
            "fit_seconds": NUMBER,
            "test_seconds": NUMBER,
            "test_ms_per_image": _value(["number", "null"]),
        }
    )
    properties = {
        "schema_version": _value("integer", const=1),
        "category": TEXT,
        "per_image": _value("string", "The records, relative to this file."),
        "per_image_schema": WHOLE,
        "data": data,
        "calibration": {"$ref": "#/$defs/card"},
        "confusion": _object(
            dict.fromkeys(("rejected_defective", "rejected_good", "passed_good", "passed_defective"), WHOLE),
            description="Test images by what the threshold does with them.",
        ),
        "metrics": _value("object", additionalProperties={"$ref": "#/$defs/metric"}),
        "errors": _value("array", items=failure),
        "warnings": TEXTS,
        "timing": timing,
    }
    return {**_object(properties), "$defs": {"metric": _metric(), "card": _card()}}
