"""The schema of a record: one line of a run's ``per_image.jsonl``, or of what ``infer`` writes."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.region_policy import NO_REGION, REMOVING
from pyimgano.workbench.schemas.building import WHOLE, object_of, value
from pyimgano.workbench.schemas.decisions import REMOVED_BY

__all__ = ["per_image_schema"]


def per_image_schema() -> dict[str, Any]:
    """Return the schema of a record."""
    region = object_of(
        {
            "box": value(
                "array",
                "[x, y, width, height] in pixels of the source image.",
                items=WHOLE,
                minItems=4,
                maxItems=4,
            ),
            "area": value("integer", "Pixels of the source image.", minimum=1),
            "score": value("number", "Highest value of the map in it."),
            "removed_by": REMOVED_BY,
        },
        optional=("removed_by",),
    )
    properties = {
        "image": value("string", "Path relative to the dataset's root, or as it was given to `infer`; with '/'."),
        "id": value("string", "What the client of the service called it."),
        "sha256": value(
            "string", "Of the image's file, where the service or the hot folder read it.", pattern="^[0-9a-f]{64}$"
        ),
        "category": value("string", "Object or texture."),
        "group": value("string", "What the image belongs to, e.g. its part, lot or camera."),
        "label": value("integer", "0 good, 1 defective; absent where unknown.", enum=[0, 1]),
        "defect": value("string", "Kind of defect, as the dataset names it."),
        "score": value("number", "Raw image score; higher is more anomalous. Absent beside 'error'."),
        "threshold": value("number", "Defective is score >= threshold."),
        "decision": value("string", "Review: between the two thresholds.", enum=["good", "review", "defective"]),
        "p_value": value(
            "number",
            "(1 + number of held-out good images that score at least as high) / (n + 1).",
            exclusiveMinimum=0,
            maximum=1,
        ),
        "overruled_by": value(
            "string",
            "Where regions decide and none is left of an image whose score reaches the threshold: the rule that "
            "removed the highest.",
            enum=[*REMOVING, NO_REGION],
        ),
        "regions": value(
            "array",
            "Connected pixels of the map that reach the pixel threshold, the highest score first; absent without maps.",
            items=region,
        ),
        "regions_left_out": value("integer", "Regions beyond the limit of the list.", minimum=1),
        "map": value("string", "Raw anomaly map, relative to this file: 32-bit float TIFF at source size."),
        "mask": value("string", "Mask of the kept regions, relative to this file: PNG, 0/255."),
        "overlay": value("string", "Picture with the heat-map, relative to this file: PNG."),
        "error": value("string", "Why there is no score, and so no decision."),
    }
    optional = tuple(name for name in properties if name != "image")
    scored = {"required": ["score"], "not": {"required": ["error"]}}
    failed = {"required": ["error"], "not": {"anyOf": [{"required": ["score"]}, {"required": ["decision"]}]}}
    return {**object_of(properties, optional=optional), "oneOf": [scored, failed]}
