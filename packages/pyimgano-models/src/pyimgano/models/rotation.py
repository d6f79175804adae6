"""Turning an image about its centre."""

from __future__ import annotations

import numpy as np

__all__ = ["rotate"]


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turn (H, W) or (H, W, C), uint8 or float32, counter-clockwise; bilinear, with 0 from outside."""
    import cv2

    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned: np.ndarray = cv2.warpAffine(np.ascontiguousarray(image), matrix, (width, height), flags=cv2.INTER_LINEAR)
    return turned
