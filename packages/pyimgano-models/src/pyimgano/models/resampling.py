"""Resampling along one axis, mostly with the pixel centres of images: what PyTorch calls ``align_corners=False``."""

from __future__ import annotations

import numpy as np

__all__ = ["gaussian_matrix", "linear_taps", "nearest_indices", "resampling_matrix"]


def nearest_indices(source: int, target: int) -> np.ndarray:
    """Return (target,) int64: the source pixel in which each target pixel begins."""
    return np.arange(target) * source // target


def linear_taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what linear interpolation takes.

    Returns
    -------
    first, second : ndarray, (target,) int64
        The two source pixels of each target pixel.
    weight : ndarray, (target,) float64
        That of the second; the first has ``1 - weight``.
    """
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0)
    first = np.minimum(position.astype(np.int64), source - 1)
    return first, np.minimum(first + 1, source - 1), np.minimum(position - first, 1.0)


def resampling_matrix(source: int, target: int, interpolation: str) -> np.ndarray:
    """Return the (target, source) float64 matrix of an interpolation along one axis.

    It is ``"bilinear"``, ``"nearest"``, or ``"bilinear-corners"``, in which the outermost pixels' centres coincide
    (PyTorch's ``align_corners=True``).
    """
    matrix = np.zeros((target, source))
    rows = np.arange(target)
    if interpolation == "nearest":
        matrix[rows, nearest_indices(source, target)] = 1.0
    else:
        if interpolation == "bilinear-corners":
            position = rows * (source - 1) / max(1, target - 1)
            first = position.astype(np.int64)
            second, weight = np.minimum(first + 1, source - 1), position - first
        else:
            first, second, weight = linear_taps(source, target)
        np.add.at(matrix, (rows, first), 1.0 - weight)
        np.add.at(matrix, (rows, second), weight)
    return matrix


def gaussian_matrix(matrix: np.ndarray, sigma: float, *, truncate: float = 4.0) -> np.ndarray:
    """Return the rows of a matrix smoothed down its first axis by a Gaussian.

    The kernel ends at ``truncate`` standard deviations; beyond the border the rows are mirrored about the outermost
    one.
    """
    radius = int(truncate * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    count = len(matrix)
    period = max(1, 2 * (count - 1))
    smoothed = np.zeros_like(matrix)
    for offset, weight in zip(offsets, kernel):
        mirrored = (np.arange(count) + offset) % period
        smoothed += weight * matrix[np.minimum(mirrored, period - mirrored)]
    return smoothed
