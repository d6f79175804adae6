"""Distance to the mean image: a real detector for aligned parts."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.detector import BaseDetector

__all__ = ["MeanImage"]


class MeanImage(BaseDetector):
    """Largest absolute difference to the mean of the good images.

    Parameters
    ----------
    size : int
        Side of the square that images are resized to, in pixels.
    """

    def __init__(self, size: int = 32) -> None:
        self.size = size

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image."""
        import cv2

        if image.shape[:2] == (self.size, self.size):
            return image
        return cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def _fit(self, images: ImageBatches) -> None:
        self.mean_ = np.mean([image for batch in images for image in batch], axis=0, dtype=np.float64)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        found = np.abs(np.stack(batch) - self.mean_).mean(axis=-1)
        return found.reshape(len(found), -1).max(axis=1), found.astype(np.float32) if maps else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"mean": self.mean_}, {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.mean_ = arrays["mean"]
