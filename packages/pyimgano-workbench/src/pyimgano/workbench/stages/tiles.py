"""Whether a run's tiles fit its images, asked before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyimgano.core.errors import ConfigError, ImageError
from pyimgano.workbench.stages.pipelines import tiling_of

if TYPE_CHECKING:
    from pyimgano.core.contracts import Sample
    from pyimgano.workbench.config import RunConfig

__all__ = ["check_tiles"]


def check_tiles(config: RunConfig, firsts: Iterable[Sample]) -> None:
    """Refuse tiles that are larger than images.

    Parameters
    ----------
    firsts : iterable of Sample
        One good image of each category, which stands for the others: what is smaller is found when it is read.

    Raises
    ------
    ConfigError
        With both sizes.
    ImageError
        When an image cannot be read.
    """
    from pyimgano.datasets import load_image

    tiling = tiling_of(config)
    if tiling is None:
        return
    for sample in firsts:
        image = load_image(sample, value_range=config.dataset.value_range)
        try:
            tiling.grids((int(image.shape[0]), int(image.shape[1])))
        except ImageError as error:
            raise ConfigError(
                f"{error.message} ({sample.id})", where="tiling.tile", allowed=error.allowed, hint=error.hint
            ) from error
