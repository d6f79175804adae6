"""Contrast that does not depend on how light falls on the part: CLAHE and homomorphic filtering."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pyimgano.core.parameters import require
from pyimgano.workbench.preprocess.preprocessing import Stateless

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Clahe", "Homomorphic"]


def with_lightness(image: np.ndarray, lightness: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return an image whose lightness was changed from ``before`` to ``lightness``, (H, W) in [0, 255] each.

    Colours keep their ratios, so that a grey image stays grey.
    """
    import numpy as np

    gain = (lightness.astype(np.float32) + 1.0) / (before.astype(np.float32) + 1.0)
    return np.asarray(np.clip(np.rint((image + np.float32(1.0)) * gain[..., None] - 1.0), 0, 255), dtype=np.uint8)


@dataclasses.dataclass(frozen=True)
class Clahe(Stateless):
    """Contrast-limited adaptive histogram equalisation of the lightness.

    Parameters
    ----------
    clip_limit : float
        Greatest height of a histogram's bin, relative to an even histogram; above 0. Higher means more contrast, and
        more noise.
    cells : int
        Cells along each side of the image that have a histogram of their own, 1 to 64.

    References
    ----------
    K. Zuiderveld, *Contrast Limited Adaptive Histogram Equalization*, Graphics Gems IV, 1994.
    """

    clip_limit: float = 2.0
    cells: int = 8

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        require(0.0 < self.clip_limit <= 100.0, "clip_limit", self.clip_limit, "above 0, at most 100")
        whole = isinstance(self.cells, int) and not isinstance(self.cells, bool)
        require(whole and 1 <= self.cells <= 64, "cells", self.cells, "a whole number from 1 to 64")

    def _change(self, image: np.ndarray) -> np.ndarray:
        import cv2

        before = image.max(axis=2)
        equalised = cv2.createCLAHE(self.clip_limit, (self.cells, self.cells)).apply(before)
        return with_lightness(image, equalised, before)


@dataclasses.dataclass(frozen=True)
class Homomorphic(Stateless):
    """Homomorphic filtering: in the logarithm of the lightness, slow changes are the light, fast ones the surface.

    With ``l = log(1 + lightness)``, ``s`` its Gaussian blur and ``m`` its mean, the result is
    ``exp(m + low · (s − m) + high · (l − s)) − 1``.

    Parameters
    ----------
    low : float
        What is left of the slow changes, 0 to 1.
    high : float
        What fast changes are multiplied by, 0.5 to 4.
    radius : float
        Standard deviation of the blur, as a fraction of the shorter side: above 0, at most 0.5.

    References
    ----------
    A. Oppenheim, R. Schafer & T. Stockham, *Nonlinear Filtering of Multiplied and Convolved Signals*, Proc. IEEE, 1968.
    """

    low: float = 0.3
    high: float = 1.0
    radius: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        require(0.0 <= self.low <= 1.0, "low", self.low, "0 to 1")
        require(0.5 <= self.high <= 4.0, "high", self.high, "0.5 to 4")
        require(0.0 < self.radius <= 0.5, "radius", self.radius, "above 0, at most 0.5")

    def _change(self, image: np.ndarray) -> np.ndarray:
        import cv2
        import numpy as np

        before = image.max(axis=2)
        logarithm = np.log1p(before.astype(np.float32))
        # The light changes slowly: it is as well known from a small image, whatever the size of the large one.
        height, width = logarithm.shape
        factor = min(1.0, 256.0 / min(height, width))
        small = cv2.resize(
            logarithm, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
        )
        slow = cv2.GaussianBlur(small, (0, 0), max(0.5, self.radius * min(small.shape)), borderType=cv2.BORDER_REFLECT)
        slow = cv2.resize(slow, (width, height), interpolation=cv2.INTER_LINEAR)
        mean = float(slow.mean())
        changed = np.expm1(mean + self.low * (slow - mean) + self.high * (logarithm - slow))
        return with_lightness(image, np.clip(changed, 0.0, 255.0), before)
