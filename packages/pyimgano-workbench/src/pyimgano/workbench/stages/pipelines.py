"""What the sections ``preprocess`` and ``tiling`` of a run config mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.creation import create_component
from pyimgano.workbench.pipeline import Pipeline
from pyimgano.workbench.tiling import Tiling

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["tiling_of", "with_pipeline"]


def tiling_of(config: RunConfig) -> Optional[Tiling]:
    """Return how images are cut; None where they are not."""
    cut = config.tiling
    return None if cut is None else Tiling(cut.tile, cut.overlap, tuple(cut.scales), cut.merge)


def with_pipeline(config: RunConfig, model: Any) -> Any:
    """Return a model with the preprocessing and the tiles that the config wants around it, or as it is."""
    if not config.preprocess and config.tiling is None:
        return model
    steps = [
        (step.name, step.params, create_component("preprocess", step.name, step.params)) for step in config.preprocess
    ]
    each = None if config.tiling is None else config.tiling.tiles_per_image
    return Pipeline(model, steps, tiling=tiling_of(config), tiles_per_image=each, seed=config.seed)
