"""A feature extractor: colour statistics on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["ColourGrid"]


class ColourGrid:
    """Mean and standard deviation of the three colours in each cell.

    Parameters
    ----------
    size : int
        Side of the square that images are resized to, in pixels.
    cell : int
        Side of one cell in pixels; divides ``size``.
    """

    layers = ("grid",)

    def __init__(self, size: int = 128, cell: int = 8) -> None:
        self.size = size
        self.cell = cell

    @property
    def input_size(self) -> tuple[int, int]:
        """The (height, width) that :meth:`extract` takes."""
        return self.size, self.size

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image."""
        import cv2

        if image.shape[:2] == self.input_size:
            return image
        return cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def extract(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return {"grid": (N, 6, size / cell, size / cell) float32}."""
        n = self.size // self.cell
        images = np.stack(batch).astype(np.float64) / 255.0
        cells = images.reshape(len(images), n, self.cell, n, self.cell, 3)
        statistics = np.concatenate([cells.mean(axis=(2, 4)), cells.std(axis=(2, 4))], axis=-1)
        return {"grid": statistics.transpose(0, 3, 1, 2).astype(np.float32)}
