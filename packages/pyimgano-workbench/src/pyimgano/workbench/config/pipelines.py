"""The sections ``preprocess`` and ``tiling``: what comes before the model, and what is wrong with it."""

# No `from __future__ import annotations`: pydantic evaluates these annotations, on Python 3.9 too.

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Optional

from pydantic import AfterValidator, BeforeValidator, Field

from pyimgano.core.errors import PyimganoError
from pyimgano.core.registry import MODELS
from pyimgano.workbench.config.base import Frozen
from pyimgano.workbench.config.components import check_components
from pyimgano.workbench.config.problems import ConfigProblem

__all__ = ["TilingConfig", "check_pipeline"]

LEAST_TILE = 32


def _tile(value: Any) -> Any:
    sides = [value, value] if isinstance(value, int) and not isinstance(value, bool) else value
    whole = isinstance(sides, (list, tuple)) and all(
        isinstance(side, int) and not isinstance(side, bool) and side >= LEAST_TILE for side in sides
    )
    if not whole or len(sides) != 2:
        raise ValueError(f"must be a side, or [height, width], in whole pixels, at least {LEAST_TILE}")
    return tuple(sides)


def _scales(value: Any) -> Any:
    if not value or len(set(value)) < len(value) or not all(0.0 < scale <= 1.0 for scale in value):
        raise ValueError("must name at least one number above 0 and at most 1, each once")
    return value


class TilingConfig(Frozen):
    """Tiles that images are looked at in, for images much larger than what the model sees at once."""

    tile: Annotated[tuple[int, int], BeforeValidator(_tile)] = Field(
        strict=False,
        description="Side of a tile, or [height, width], in pixels of the image. No image may be smaller. The model "
        "brings each tile to its own input size.",
    )
    overlap: float = Field(
        0.25, ge=0.0, lt=1.0, description="Least share of a tile's side that it has in common with its neighbour."
    )
    scales: Annotated[list[float], AfterValidator(_scales)] = Field(
        default_factory=lambda: [1.0],
        description="Sizes at which the image is cut, relative to its own; maps of several are averaged, the highest "
        "score of all tiles is the image's.",
    )
    merge: Literal["hann", "max"] = Field(
        "hann",
        description="Where tiles overlap: 'hann' weights their maps so that no seam shows, 'max' takes the greatest "
        "value.",
    )
    tiles_per_image: Optional[int] = Field(
        None,
        ge=1,
        description="Tiles of each good image that the model is fitted on, drawn by seed. Null: all. Every tile of "
        "other images is looked at.",
    )


def check_pipeline(data: Mapping[str, Any], recipe: Any, problems: list[ConfigProblem]) -> None:
    """Tell what a schema cannot of ``preprocess`` and ``tiling``.

    Parameters
    ----------
    data : mapping
        The config as the user gave it.
    recipe : object or None
        As it was made. One whose ``whole_images`` is true takes neither.
    problems : list of ConfigProblem
        Takes what is wrong.
    """
    preprocess, tiling = data.get("preprocess"), data.get("tiling")
    check_components(("preprocess",), "preprocess", preprocess, problems)
    if getattr(recipe, "whole_images", False):
        for key, given in (("preprocess", preprocess), ("tiling", tiling)):
            if given:
                problems.append(
                    ConfigProblem(
                        (key,),
                        f"the recipe {data.get('recipe')!r} trains on whole images as they are",
                        hint=f"leave {key} out, or take the recipe industrial-adapt",
                    )
                )
    model = data.get("model")
    name = model.get("name") if isinstance(model, Mapping) else None
    if not tiling or not isinstance(name, str):
        return
    try:
        tags = MODELS.get(name).spec.tags
    except PyimganoError:
        return  # told already
    if "aligned" in tags:
        problems.append(
            ConfigProblem(
                ("tiling",),
                f"the model {name!r} compares every position with the same position of the good images, so that tiles "
                "of different places would be mixed",
                hint="leave tiling out, or take a model without the tag 'aligned', e.g. patchcore",
            )
        )
