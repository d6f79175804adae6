"""Grey-level co-occurrence: how often two levels stand side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side, grey_levels

__all__ = ["CoOccurrence", "co_occurrence", "texture_measures"]

MEASURES = ("contrast", "dissimilarity", "homogeneity", "asm", "correlation", "entropy")
# (down, right) of 0, 45, 90 and 135 degrees
DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))


@dataclass(frozen=True)
class CoOccurrence(Descriptor):
    """Measures of grey-level co-occurrence matrices (Haralick, Shanmugam & Dinstein, 1973).

    Of each distance, the mean and the range over four directions of six measures of the symmetric matrix: contrast,
    dissimilarity, homogeneity, angular second moment, correlation, entropy.

    Parameters
    ----------
    levels : int
        Grey levels that the image is brought to, 2 to 256.
    distances : tuple of int
        In pixels, along rows and columns.
    """

    levels: int = 32
    distances: tuple[int, ...] = (1, 2, 4, 8)

    name = "glcm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "distances", tuple(self.distances))
        require(2 <= self.levels <= 256, "levels", self.levels, "2 to 256", where="features 'glcm'")
        good = len(self.distances) > 0 and all(isinstance(d, int) and 1 <= d <= 256 for d in self.distances)
        require(good, "distances", self.distances, "a list of whole numbers from 1 to 256", where="features 'glcm'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return 2 * len(MEASURES) * len(self.distances)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        check_side(image, max(self.distances) + 1, self.name)
        grey = (grey_levels(image).astype(np.int64) * self.levels) // 256
        features = []
        for distance in self.distances:
            matrices = [co_occurrence(grey, self.levels, distance * d, distance * r) for d, r in DIRECTIONS]
            measures = np.stack([texture_measures(matrix) for matrix in matrices])
            features += [measures.mean(axis=0), np.ptp(measures, axis=0)]
        return np.concatenate(features).astype(np.float32)


def co_occurrence(grey: np.ndarray, levels: int, down: int, right: int) -> np.ndarray:
    """Return the symmetric co-occurrence matrix of pixels and those so many rows below and columns to the right.

    Parameters
    ----------
    grey : ndarray, (H, W) of int
        In [0, levels).
    levels, down, right : int
        The offsets may be negative.

    Returns
    -------
    ndarray, (levels, levels) float64
        Its sum is 1.
    """
    height, width = grey.shape
    here = grey[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    there = grey[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    counts = np.bincount((here * levels + there).ravel(), minlength=levels * levels).reshape(levels, levels)
    matrix: np.ndarray = (counts + counts.T) / (2.0 * here.size)
    return matrix


def texture_measures(matrix: np.ndarray) -> np.ndarray:
    """Return the :data:`MEASURES` of a symmetric co-occurrence matrix, (6,) float64.

    The correlation of an image of one level is 1, as in scikit-image.
    """
    levels = np.arange(len(matrix), dtype=np.float64)
    difference = np.abs(levels[:, None] - levels)
    marginal = matrix.sum(axis=0)
    mean = marginal @ levels
    variance = marginal @ (levels - mean) ** 2
    covariance = (levels - mean) @ matrix @ (levels - mean)
    filled = matrix[matrix > 0]
    return np.array(
        [
            (matrix * difference**2).sum(),
            (matrix * difference).sum(),
            (matrix / (1.0 + difference**2)).sum(),
            (matrix**2).sum(),
            covariance / variance if variance > 1e-15 else 1.0,
            -(filled * np.log2(filled)).sum(),
        ]
    )
