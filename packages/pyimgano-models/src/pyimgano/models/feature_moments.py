"""Mean and standard deviation of feature channels, over any number of images, one pass."""

from __future__ import annotations

import numpy as np

__all__ = ["ChannelMoments"]


class ChannelMoments:
    """Mean and population variance of each channel over all positions of all images that were added.

    Images are merged by the formula of Chan, Golub & LeVeque (1983), which loses nothing where the mean is large
    beside the deviation, as sums of squares do. The memory is that of one image.

    Attributes
    ----------
    count : int
        Positions seen.
    mean : ndarray, (C,) float64
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, features: np.ndarray) -> None:
        """Add the features of an image: (C, h, w) float."""
        rows = features.reshape(len(features), -1).astype(np.float64)
        mean = rows.mean(axis=1)
        rows -= mean[:, None]
        added, difference = rows.shape[1], mean - self.mean
        total = self.count + added
        self._squares += np.einsum("cp,cp->c", rows, rows) + difference**2 * (self.count * added / total)
        self.mean += difference * (added / total)
        self.count = total

    @property
    def deviation(self) -> np.ndarray:
        """Population standard deviation, (C,) float64; 1 of a channel that is constant, so that it can divide."""
        variance = self._squares / max(1, self.count)
        deviation: np.ndarray = np.sqrt(np.where(variance > 1e-12 * self.mean**2, variance, 1.0))
        return deviation
