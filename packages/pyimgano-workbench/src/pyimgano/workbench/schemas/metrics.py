"""The schemas of what was measured: a metric, and a category's curves."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import NUMBER, TEXT, WHOLE, object_of, pair_of, value, version

__all__ = ["METRIC", "METRICS", "curves_schema", "metric_schema"]

METRIC = {"$ref": "#/$defs/metric"}
METRICS = value("object", "Name -> metric.", additionalProperties=METRIC)


def metric_schema() -> dict[str, Any]:
    """Return the schema of a metric; the facts beside its value are those that belong to it."""
    facts = {
        "interval": pair_of(NUMBER, "Where the value of another sample of the same size is to be expected."),
        "confidence": value("number", "Of the interval.", exclusiveMinimum=0, exclusiveMaximum=1),
        "interval_method": TEXT,
        "count": value("integer", "Numerator of a share.", minimum=0),
        "threshold": value(["number", "null"], "That it holds at; null where no threshold does better than none."),
        "limit": value("number", "Rate that it is integrated to, or kept to."),
        "fpr": value("number", "False-positive rate at the threshold."),
        "recall": value("number", "Recall at the threshold."),
        "min_area": value("integer", "Regions of fewer pixels are not counted.", minimum=0),
        "inside": value("string", "Which pixels it is of, where not all count."),
        "error": value("number", "By how much the value may be wrong: it was counted in bins.", minimum=0),
        "bins": WHOLE,
    }
    properties = {
        "value": value(["number", "null"], "Null where it is not defined; 'reason' says why."),
        "n": value("object", "What it was counted on.", additionalProperties=WHOLE),
        "reason": TEXT,
        **facts,
    }
    schema = object_of(properties, optional=("reason", *facts), description="A number with what it was counted on.")
    undefined = {"properties": {"value": {"type": "null"}}, "required": ["reason"]}
    defined = {"properties": {"value": NUMBER}, "not": {"required": ["reason"]}}
    return {**schema, "oneOf": [undefined, defined]}


def curves_schema(number: int) -> dict[str, Any]:
    """Return the schema of a category's ``curves.json``."""
    point = value("array", items=NUMBER, minItems=3, maxItems=3)

    def curve(what: str) -> dict[str, Any]:
        return value("array", what, items=point, maxItems=500)

    image = {
        "roc": curve("[false-positive rate, recall, threshold]"),
        "pr": curve("[recall, precision, threshold]"),
    }
    pixel = {**image, "pro": curve("[false-positive rate, mean overlap with the regions, threshold]")}
    return object_of(
        {
            "schema_version": version(number),
            "image": object_of(image, optional=tuple(image), description="Empty where not defined."),
            "pixel": object_of(pixel, optional=tuple(pixel), description="Empty where not defined."),
        }
    )
