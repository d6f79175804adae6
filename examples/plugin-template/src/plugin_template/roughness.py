"""A model: surfaces that are rougher or smoother than good ones."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from pyimgano.core.batching import ImageBatches
from pyimgano.core.detector import BaseDetector
from pyimgano.core.parameters import require
from pyimgano.core.resizing import resize_image

__all__ = ["Roughness"]


class Roughness(BaseDetector):
    """Deviation of each cell's roughness from that of all cells of good images, in standard deviations.

    The roughness of a cell is the logarithm of its mean grey-level step between neighbouring pixels. An image's score
    is that of its worst cell.

    Parameters
    ----------
    size : int
        Side of the square that images are resized to, in pixels.
    cell : int
        Side of one cell in pixels; divides ``size``. A map has one value per cell.
    """

    # Only stores what it is given, under the same names, with no **kwargs: so typing errors are found.
    def __init__(self, size: int = 128, cell: int = 8) -> None:
        self.size = size
        self.cell = cell

    def validate(self) -> None:
        """Check the parameters; asked when the model is made, before any image is read."""
        require(self.cell > 1 and self.size % self.cell == 0, "cell", self.cell, "a divisor of size, 2 or more")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image; the threads that read images do this."""
        return resize_image(image, (self.size, self.size))

    def _fit(self, images: ImageBatches) -> None:
        cells = np.concatenate([self._roughness(batch).ravel() for batch in images])
        self.mean_ = float(cells.mean())  # what is learned ends in _
        self.spread_ = float(cells.std() + 1e-6)

    def _roughness(self, batch: list[np.ndarray]) -> np.ndarray:
        """Return (N, size / cell, size / cell) float64."""
        grey = np.stack(batch).mean(axis=-1)
        down = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
        right = np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
        n = self.size // self.cell
        steps = (down + right).reshape(len(batch), n, self.cell, n, self.cell)
        return np.log1p(steps.mean(axis=(2, 4)))

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        away = np.abs(self._roughness(batch) - self.mean_) / self.spread_
        return away.reshape(len(away), -1).max(axis=1), away.astype(np.float32) if maps else None

    # Everything that _infer_batch needs beyond the parameters, as arrays and plain facts: there is no pickle.
    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {}, {"mean": self.mean_, "spread": self.spread_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.mean_ = float(facts["mean"])
        self.spread_ = float(facts["spread"])
