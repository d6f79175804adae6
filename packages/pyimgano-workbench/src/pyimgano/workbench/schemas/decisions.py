"""The schemas of post-processing and of rules on regions, in artifacts and reports."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.region_policy import NO_REGION, REMOVING
from pyimgano.workbench.schemas.building import NUMBER, TEXT, WHOLE, object_of, value

__all__ = [
    "REMOVED_BY",
    "ROI",
    "postprocess_report_schema",
    "postprocess_schema",
    "region_report_schema",
    "region_rules_schema",
]

REMOVED_BY = value("string", "The rule that keeps it out of the mask.", enum=list(REMOVING))

_POLYGONS = value("array", "Corners [x, y] of each polygon.", items=value("array", items=value("array", items=NUMBER)))
_UNIT = value("string", enum=["pixel", "fraction"])
_SIZE = value("array", "[width, height] of the images that it is for.", items=WHOLE, minItems=2, maxItems=2)

ROI: dict[str, Any] = {
    "anyOf": [
        value("string", "An image, relative to this file; what counts is not 0."),
        object_of({"polygons": _POLYGONS, "unit": _UNIT, "size": _SIZE}, optional=("size",)),
    ]
}

_RULE = {"name": TEXT, "params": value("object")}
_RULES = value("array", "Rules on maps, in their order.", items=object_of(_RULE))
_SCORE = value("string", "What the image score is.", enum=["model", "max", "top-mean"])
_BORDER = value("integer", "Pixels at each edge that do not count.", minimum=0)
_SHARE = value("number", "Share of the pixels that 'top-mean' is the mean of.", exclusiveMinimum=0, maximum=1)


def postprocess_schema() -> dict[str, Any]:
    """Return the schema of what inference reads of a run's post-processing."""
    return object_of({"maps": _RULES, "border": _BORDER, "image_score": _SCORE, "top_share": _SHARE})


def postprocess_report_schema() -> dict[str, Any]:
    """Return the schema of what a category's report says of its post-processing."""
    roi = object_of(
        {"polygons": _POLYGONS, "unit": _UNIT, "size": _SIZE},
        optional=("polygons", "unit", "size"),
        description="Region of interest; of an image its size.",
    )
    learned = value("object", "What it has learned, in numbers; absent where it learns nothing.")
    rule = object_of({**_RULE, "learned": learned}, optional=("learned",))
    properties = {
        "maps": value("array", "Rules on maps, in their order.", items=rule),
        "roi": {"anyOf": [roi, {"type": "null"}]},
        "border": _BORDER,
        "image_score": _SCORE,
        "top_share": _SHARE,
        "n_normalisation": value("integer", "Held-out good images that the rules learned from.", minimum=0),
    }
    return object_of(
        properties, optional=("top_share",), description="What became of scores and maps; absent where nothing did."
    )


def region_rules_schema() -> dict[str, Any]:
    """Return the schema of the rules on regions; what is not set, but for the area and the limit, is absent."""
    properties = {
        "min_area": value("integer", "Regions of fewer pixels are removed.", minimum=0),
        "limit": value("integer", "Regions that a record lists.", minimum=1),
        "min_length": value("integer", "Regions that are so long stay, whatever their area.", minimum=1),
        "max_area": value("integer", "Regions of more pixels are removed.", minimum=1),
        "hysteresis": value("number", "Where between usual and threshold regions end.", exclusiveMinimum=0),
        "hysteresis_alpha": value("number", "The same, as the alpha of a calibration.", exclusiveMinimum=0),
        "close": value("integer", "Radius in pixels.", minimum=1),
        "open": value("integer", "Radius in pixels.", minimum=1),
        "fill": value("boolean", "Whether holes are filled."),
        "merge": value("integer", "Regions so near are one.", minimum=1),
        "decide": value("string", "What makes an image defective.", enum=["regions"]),
    }
    return object_of(properties, optional=tuple(name for name in properties if name not in ("min_area", "limit")))


def region_report_schema() -> dict[str, Any]:
    """Return the schema of what a category's report says of the rules on regions."""
    by_rule = object_of(dict.fromkeys(REMOVING, WHOLE), optional=REMOVING, description="Rule -> regions it removed.")
    causes = (*REMOVING, NO_REGION)
    images = object_of(dict.fromkeys(causes, WHOLE), optional=causes, description="Rule -> images it let pass.")
    properties = {
        "rules": region_rules_schema(),
        "kept": value("integer", "Regions of all test images that count.", minimum=0),
        "removed": by_rule,
        "overruled": {"anyOf": [images, {"type": "null"}]},
    }
    return object_of(properties, description="What the rules on regions did; absent without any, or without maps.")
