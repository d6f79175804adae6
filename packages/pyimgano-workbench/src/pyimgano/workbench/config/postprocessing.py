"""The sections of the run config that say what becomes of a model's scores and maps."""

# No `from __future__ import annotations`: pydantic evaluates these annotations, on Python 3.9 too.

import math
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import BeforeValidator, Field, WithJsonSchema

from pyimgano.workbench.config.base import ComponentConfig, Frozen, PlainJson

__all__ = ["PostprocessConfig", "RegionConfig"]


def _share(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("must be a fraction between 0 and 1, or a whole number of images")
    if value >= 1 and value == int(value):
        return int(value)
    if not 0.0 < value < 1.0:
        raise ValueError("must be a fraction between 0 and 1, or a whole number of images")
    return float(value)


_CORNER = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2}
_ROI = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "polygons": {
                    "type": "array",
                    "items": {"type": "array", "items": _CORNER, "minItems": 3},
                    "minItems": 1,
                },
                "unit": {"enum": ["pixel", "fraction"]},
                "size": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
            },
            "required": ["polygons"],
            "additionalProperties": False,
        },
    ]
}
_ROI_SCHEMA = {
    "anyOf": [
        *_ROI["anyOf"],
        {"type": "object", "additionalProperties": _ROI, "minProperties": 1},
        {"type": "null"},
    ]
}


class PostprocessConfig(Frozen):
    """What becomes of a model's score and map before anything is decided; in calibration, test and inference alike."""

    maps: list[ComponentConfig] = Field(
        default_factory=list,
        description="Rules on maps, in their order: components of kind 'postprocess' "
        "(`pyimgano components list --tag map`).",
    )
    holdout: Annotated[Union[int, float], BeforeValidator(_share)] = Field(
        0.3,
        description="Held-out good images that rules which learn from good images are given, instead of the "
        "calibration: a fraction below 1, or a number of images. Unused where no rule learns.",
    )
    roi: Annotated[Any, PlainJson, WithJsonSchema(_ROI_SCHEMA)] = Field(
        None,
        description="Region of interest: the path of an image, relative to this file, in which what counts is not 0; "
        "or {polygons = [[[x, y], …], …], unit = 'pixel' or 'fraction'}; or a table of these by category. Null: all.",
    )
    border: int = Field(0, ge=0, description="Pixels at each edge of the source image that do not count.")
    image_score: Literal["auto", "model", "max", "top-mean"] = Field(
        "auto",
        description="'model': its own. 'max': the maximum of the map, over what counts. 'top-mean': the mean of its "
        "highest values. 'auto': the model's own where nothing above is set, else 'max'.",
    )
    top_share: Optional[float] = Field(
        None, gt=0.0, le=1.0, description="Share of the pixels that 'top-mean' is the mean of. Null: 0.01."
    )


class RegionConfig(Frozen):
    """What counts as a region of a map: connected pixels that reach the pixel threshold."""

    min_area: int = Field(
        0,
        ge=0,
        description="Regions of fewer pixels of the source image are removed from masks, and kept in the records with "
        "the rule that removed them. 0 removes none.",
    )
    limit: int = Field(20, ge=1, description="Regions that an image's record lists, the highest score first.")
    min_length: int = Field(
        0,
        ge=0,
        description="A region below min_area stays if it is so many pixels long (the long side of the smallest "
        "rectangle around it): thin scratches. 0: the area alone counts.",
    )
    max_area: Optional[int] = Field(None, ge=1, description="Regions of more pixels are removed. Null removes none.")
    hysteresis: Optional[float] = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="A region that reaches the pixel threshold extends to a low one, this far up from what good images "
        "usually show (0) to the pixel threshold (1).",
    )
    hysteresis_alpha: Optional[float] = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="Instead, the low threshold is calibrated like the pixel threshold, with this.",
    )
    close: int = Field(0, ge=0, description="Radius in pixels: gaps that no disc of it fits into are closed.")
    open: int = Field(
        0,
        ge=0,
        description="Radius in pixels: what no disc of it fits into is removed, thin scratches too (see min_length).",
    )
    fill: bool = Field(False, description="Whether holes in regions are filled.")
    merge: int = Field(0, ge=0, description="Regions no more than so many pixels apart become one. 0 merges none.")
    decide: Literal["score", "regions"] = Field(
        "score",
        description="What makes an image defective: its score, or that a region is left after these rules.",
    )
