"""Quantiles of anomaly maps, over any number of them, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["MapQuantiles"]

MOST = 2**23


class MapQuantiles:
    """Quantiles of all pixels of some maps of one size.

    Exact up to :data:`MOST` pixels (128 maps of 256 × 256). Of more, every map gives the same share: pixels at a
    regular distance, in memory order, each map beginning at another one.

    Parameters
    ----------
    count : int
        Maps that will be added.
    pixels : int
        Of each map.
    most : int
        Values kept.
    """

    def __init__(self, count: int, pixels: int, *, most: int = MOST) -> None:
        self.step = max(1, -(-count * pixels // most))
        self._kept: list[np.ndarray] = []

    def add(self, map_: np.ndarray) -> None:
        """Add a map of any shape, float32."""
        self._kept.append(map_.reshape(-1)[len(self._kept) % self.step :: self.step].copy())

    def at(self, shares: Sequence[float]) -> np.ndarray:
        """Return the quantiles, float64, interpolated linearly between values."""
        quantiles: np.ndarray = np.quantile(np.concatenate(self._kept), shares).astype(np.float64)
        return quantiles
