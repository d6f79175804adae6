"""Colour: histograms and moments of every channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side

__all__ = ["Colour"]

SPACES = ("rgb", "hsv", "lab", "grey")
MOMENTS = 4


@dataclass(frozen=True)
class Colour(Descriptor):
    """Histograms (Swain & Ballard, 1991) and moments (Stricker & Orengo, 1995) of the channels, in cells of a grid.

    Of each channel in each cell: the share of pixels in each of ``bins`` equal bins, then mean, standard deviation
    and the signed cube root of the third and the fourth root of the fourth central moment, all in units of the
    channel's range. Roots keep the moments in one unit, as Stricker & Orengo have it; they stop at the third.

    Parameters
    ----------
    space : {"rgb", "hsv", "lab", "grey"}
        Colour space of the channels.
    bins : int
        Bins of a histogram, 2 to 256; 0 leaves the histograms out.
    grid : int
        Cells along each side.
    """

    space: str = "lab"
    bins: int = 16
    grid: int = 1

    name = "colour"

    def __post_init__(self) -> None:
        require(self.space in SPACES, "space", self.space, ", ".join(SPACES), where="features 'colour'")
        require(self.bins == 0 or 2 <= self.bins <= 256, "bins", self.bins, "0, or 2 to 256", where="features 'colour'")
        require(1 <= self.grid <= 32, "grid", self.grid, "1 to 32", where="features 'colour'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return (1 if self.space == "grey" else 3) * self.grid**2 * (self.bins + MOMENTS)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        check_side(image, self.grid, self.name)
        features = []
        for channel, levels in self._channels(image):
            for rows in np.array_split(channel, self.grid, axis=0):
                for cell in np.array_split(rows, self.grid, axis=1):
                    features.append(self._cell(cell, levels))
        return np.concatenate(features).astype(np.float32)

    def _channels(self, image: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """Return each channel, (H, W) uint8, and the number of values that it may have."""
        import cv2

        if self.space == "rgb":
            converted = image
        elif self.space == "grey":
            converted = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        else:
            code = cv2.COLOR_RGB2HSV if self.space == "hsv" else cv2.COLOR_RGB2LAB
            converted = cv2.cvtColor(image, code)
        levels = (180, 256, 256) if self.space == "hsv" else (256,) * 3  # OpenCV halves the angle of the hue
        return [(converted[..., index], levels[index]) for index in range(converted.shape[2])]

    def _cell(self, cell: np.ndarray, levels: int) -> np.ndarray:
        counts = np.bincount(cell.ravel(), minlength=levels) / cell.size
        values = np.arange(levels) / levels
        mean = counts @ values
        away = values - mean
        deviation, third, fourth = np.sqrt(counts @ away**2), np.cbrt(counts @ away**3), (counts @ away**4) ** 0.25
        moments = np.array([mean, deviation, third, fourth])
        if self.bins == 0:
            return moments
        edges = np.arange(levels) * self.bins // levels
        return np.concatenate([np.bincount(edges, weights=counts, minlength=self.bins), moments])
