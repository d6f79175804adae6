"""Local binary patterns: which of a pixel's neighbours are at least as bright as it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side, grey_levels

__all__ = ["LocalBinaryPatterns", "uniform_patterns"]


@dataclass(frozen=True)
class LocalBinaryPatterns(Descriptor):
    """Histograms of rotation-invariant uniform patterns (Ojala, Pietikäinen & Mäenpää, 2002) at several radii.

    Of each radius and each cell of a grid: the share of pixels with each of ``points + 2`` codes (equation 9 of the
    paper). Only pixels whose neighbours all lie in the image count.

    Parameters
    ----------
    radii : tuple of int
        In pixels.
    points : int
        Neighbours on the circle, 4 to 24.
    grid : int
        Cells along each side.
    """

    radii: tuple[int, ...] = (1, 2, 4)
    points: int = 8
    grid: int = 4

    name = "lbp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radii", tuple(self.radii))
        good = len(self.radii) > 0 and all(isinstance(r, int) and 1 <= r <= 64 for r in self.radii)
        require(good, "radii", self.radii, "a list of whole numbers from 1 to 64", where="features 'lbp'")
        require(4 <= self.points <= 24, "points", self.points, "4 to 24", where="features 'lbp'")
        require(1 <= self.grid <= 32, "grid", self.grid, "1 to 32", where="features 'lbp'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return len(self.radii) * self.grid**2 * (self.points + 2)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        check_side(image, 2 * max(self.radii) + self.grid, self.name)
        grey = grey_levels(image)
        features = []
        for radius in self.radii:
            codes = uniform_patterns(grey, self.points, radius)
            for rows in np.array_split(codes, self.grid, axis=0):
                for cell in np.array_split(rows, self.grid, axis=1):
                    features.append(np.bincount(cell.ravel(), minlength=self.points + 2) / cell.size)
        return np.concatenate(features).astype(np.float32)


def uniform_patterns(grey: np.ndarray, points: int, radius: int) -> np.ndarray:
    """Return the rotation-invariant uniform codes (LBP riu2) of the pixels whose neighbours lie in the image.

    Parameters
    ----------
    grey : ndarray, (H, W)
        More than ``2 * radius`` pixels along each side.
    points : int
        Neighbours; between pixels, brightness is interpolated bilinearly.
    radius : int

    Returns
    -------
    ndarray, (H - 2 radius, W - 2 radius) uint8
        The number of neighbours that are at least as bright as the pixel when there are at most two changes around
        the circle, else ``points + 1``.
    """
    values = grey.astype(np.float32)
    height, width = values.shape[0] - 2 * radius, values.shape[1] - 2 * radius
    centre = values[radius : radius + height, radius : radius + width]
    ones = np.zeros(centre.shape, dtype=np.uint8)
    changes = np.zeros(centre.shape, dtype=np.uint8)
    first = previous = None
    for point in range(points):
        # Rounded, so that neighbours which lie on pixels are compared without interpolation.
        down = round(-radius * math.sin(2 * math.pi * point / points), 5)
        right = round(radius * math.cos(2 * math.pi * point / points), 5)
        bit = _shifted(values, radius + down, radius + right, height, width) >= centre
        ones += bit
        if previous is None:
            first = bit
        else:
            changes += bit != previous
        previous = bit
    changes += first != previous
    return np.where(changes <= 2, ones, np.uint8(points + 1))


def _shifted(values: np.ndarray, top: float, left: float, height: int, width: int) -> np.ndarray:
    """Return the (height, width) window at a position between pixels."""
    row, column = math.floor(top), math.floor(left)
    down, right = np.float32(top - row), np.float32(left - column)
    window = values[row : row + height, column : column + width]
    if right:
        beside = values[row : row + height, column + 1 : column + 1 + width]
        window = window + right * (beside - window)
    if down:
        below = values[row + 1 : row + 1 + height, column : column + width]
        if right:
            beside = values[row + 1 : row + 1 + height, column + 1 : column + 1 + width]
            below = below + right * (beside - below)
        window = window + down * (below - window)
    return window
