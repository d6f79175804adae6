"""A preprocessing step: reflections that say more of the lamp than of the part."""

from __future__ import annotations

import dataclasses

import numpy as np
from pyimgano.core.parameters import require
from pyimgano.workbench.preprocess.preprocessing import Stateless

__all__ = ["Highlights"]


@dataclasses.dataclass(frozen=True)
class Highlights(Stateless):
    """Sets every value of an image that lies above one of its percentiles to that percentile.

    Parameters
    ----------
    percentile : float
        50 to 100; 100 changes nothing.
    """

    percentile: float = 99.0

    def __post_init__(self) -> None:
        require(50 <= self.percentile <= 100, "percentile", self.percentile, "50 to 100")

    def _change(self, image: np.ndarray) -> np.ndarray:
        return np.minimum(image, np.percentile(image, self.percentile)).astype(np.uint8)
