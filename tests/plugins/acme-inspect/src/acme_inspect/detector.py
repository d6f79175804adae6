"""A detector: colours that good images do not have."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from acme_inspect.features import ColourGrid
from pyimgano.core.batching import ImageBatches
from pyimgano.core.detector import BaseDetector
from pyimgano.core.parameters import require

__all__ = ["MeanColour"]


class MeanColour(BaseDetector):
    """Mahalanobis distance of each cell's colour statistics to those of all cells of good images.

    Parameters
    ----------
    size : int
        Side of the square that images are resized to, in pixels.
    cell : int
        Side of one cell in pixels; divides ``size``. A map has one value per cell.
    shrinkage : float
        Weight in [0, 1] of the scaled identity in the covariance.
    """

    def __init__(self, size: int = 128, cell: int = 8, *, shrinkage: float = 0.05) -> None:
        self.size = size
        self.cell = cell
        self.shrinkage = shrinkage

    def validate(self) -> None:
        """Check the parameters."""
        require(self.cell > 0 and self.size % self.cell == 0, "cell", self.cell, "a divisor of size")
        require(0 <= self.shrinkage <= 1, "shrinkage", self.shrinkage, "0 to 1")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image."""
        return self._grid().prepare(image)

    def _grid(self) -> ColourGrid:
        return ColourGrid(self.size, self.cell)

    def _fit(self, images: ImageBatches) -> None:
        cells = np.concatenate([self._cells(batch).reshape(-1, 6) for batch in images])
        self.mean_ = cells.mean(axis=0)
        covariance = np.atleast_2d(np.cov(cells, rowvar=False))
        scale = np.trace(covariance) / 6 + 1e-8
        covariance = (1 - self.shrinkage) * covariance + self.shrinkage * scale * np.eye(6)
        self.precision_ = np.linalg.pinv(covariance)

    def _cells(self, batch: list[np.ndarray]) -> np.ndarray:
        return self._grid().extract(batch)["grid"].transpose(0, 2, 3, 1).astype(np.float64)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        away = self._cells(batch) - self.mean_
        found = np.sqrt(np.maximum(((away @ self.precision_) * away).sum(axis=-1), 0.0))
        return found.reshape(len(found), -1).max(axis=1), found.astype(np.float32) if maps else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"mean": self.mean_, "precision": self.precision_}, {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.mean_ = arrays["mean"]
        self.precision_ = arrays["precision"]
