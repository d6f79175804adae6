"""Edges and structure: how many there are, how strong, which way they run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side, grey_levels

__all__ = ["Edges"]

QUANTILES = (0.5, 0.9, 0.99)
STATISTICS = 10


@dataclass(frozen=True)
class Edges(Descriptor):
    """Statistics of gradients, the structure tensor and edge pixels, in cells of a grid.

    Of each cell: mean, standard deviation, median, 0.9 and 0.99 quantile of the gradient's length (Sobel, in grey
    levels / 255 per pixel); the logarithm of the Laplacian's variance (sharpness); the share of Canny's edge pixels;
    coherence ``((λ1 - λ2) / (λ1 + λ2))`` of the cell's structure tensor, and cosine and sine of twice its direction
    times the coherence.

    Parameters
    ----------
    grid : int
        Cells along each side.
    low, high : int
        Canny's thresholds, of Sobel gradients of 8-bit levels.
    """

    grid: int = 4
    low: int = 50
    high: int = 150

    name = "edges"

    def __post_init__(self) -> None:
        require(1 <= self.grid <= 32, "grid", self.grid, "1 to 32", where="features 'edges'")
        require(0 <= self.low <= self.high, "low", self.low, f"0 to high = {self.high}", where="features 'edges'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return STATISTICS * self.grid**2

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        import cv2

        check_side(image, 4 * self.grid, self.name)
        grey = grey_levels(image)
        values = grey.astype(np.float32) / 255.0
        right = cv2.Sobel(values, cv2.CV_32F, 1, 0, scale=0.125, borderType=cv2.BORDER_REFLECT)
        down = cv2.Sobel(values, cv2.CV_32F, 0, 1, scale=0.125, borderType=cv2.BORDER_REFLECT)
        laplacian = cv2.Laplacian(values, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
        canny = cv2.Canny(grey, self.low, self.high) > 0
        layers = np.stack([right, down, laplacian, canny.astype(np.float32)], axis=-1)
        features = [
            _statistics(cell.reshape(-1, 4).astype(np.float64))
            for rows in np.array_split(layers, self.grid, axis=0)
            for cell in np.array_split(rows, self.grid, axis=1)
        ]
        return np.concatenate(features).astype(np.float32)


def _statistics(cell: np.ndarray) -> np.ndarray:
    right, down, laplacian, canny = cell.T
    length = np.hypot(right, down)
    xx, yy, xy = (right**2).mean(), (down**2).mean(), (right * down).mean()
    trace = xx + yy
    cosine, sine = (xx - yy, 2.0 * xy) if trace < 1e-12 else ((xx - yy) / trace, 2.0 * xy / trace)
    return np.array(
        [
            length.mean(),
            length.std(),
            *np.quantile(length, QUANTILES),
            np.log(laplacian.var() + 1e-8),
            canny.mean(),
            np.hypot(cosine, sine),
            cosine,
            sine,
        ]
    )
