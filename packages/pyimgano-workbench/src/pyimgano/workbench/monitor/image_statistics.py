"""A handful of numbers that say how an image was taken: light, focus, colour and size, not what is on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["STATISTICS", "image_statistics"]

STATISTICS = ("brightness", "contrast", "sharpness", "saturation", "width", "height")
"""The names, in the order in which they are told."""

_SIDE = 1024
"""Larger images are looked at in every n-th row and column, their sharpness in the middle, so that one of 64 megapixels
costs as little as one of 1."""


def image_statistics(image: np.ndarray) -> dict[str, float]:
    """Return the statistics of one image.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
        RGB, as it is before any preprocessing.

    Returns
    -------
    dict of str to float
        ``brightness`` and ``contrast``: mean and standard deviation of the grey values, in [0, 255]; ``sharpness``: the
        standard deviation of their Laplacian, which falls when the focus is lost and rises with noise; ``saturation``:
        mean of HSV's, in [0, 255]; ``width`` and ``height`` in pixels.
    """
    import cv2
    import numpy as np

    height, width = image.shape[:2]
    step = max(1, -(-max(height, width) // _SIDE))
    seen = np.ascontiguousarray(image[::step, ::step])
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    if step > 1:
        top, left = max(0, (height - _SIDE) // 2), max(0, (width - _SIDE) // 2)
        grey = cv2.cvtColor(np.ascontiguousarray(image[top : top + _SIDE, left : left + _SIDE]), cv2.COLOR_RGB2GRAY)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    saturation = cv2.cvtColor(seen, cv2.COLOR_RGB2HSV)[..., 1].mean()
    found = (mean[0][0], deviation[0][0], edges[0][0], saturation, width, height)
    return dict(zip(STATISTICS, map(float, found)))
