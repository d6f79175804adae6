"""Structural similarity of images, differentiable: the loss of reconstructions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["structural_similarity"]

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def structural_similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity of two batches of images at every pixel (Wang et al., TIP 2004, equation 13).

    ``(2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2))`` with the paper's window, a Gaussian of
    standard deviation 1.5 cut to 11 × 11 pixels and normalised, the variances that it gives (not the sample's), and
    ``C1 = 0.01²``, ``C2 = 0.03²`` for images whose range is 1. Beyond the border the images are mirrored about their
    outermost pixels.

    Parameters
    ----------
    x, y : Tensor, (N, C, H, W) float
        Sides of at least 6 pixels. Values outside [0, 1] are allowed.

    Returns
    -------
    Tensor, (N, C, H, W)
        In [-1, 1], 1 where the windows are equal; gradients flow to both.
    """
    rows, columns = (_mean_matrix(side).to(x) for side in x.shape[2:])

    def local_mean(images: Tensor) -> Tensor:
        # The window is separable. As matrices, its two factors hold the mirrored border too, and no copy is padded.
        return rows @ images @ columns.T

    mean_x, mean_y = local_mean(x), local_mean(y)
    # Only the sum of the variances is needed, so one mean of x² + y² serves for both.
    squares = mean_x.square() + mean_y.square()
    variances = local_mean(x.square() + y.square()) - squares
    product = mean_x * mean_y
    covariance = local_mean(x * y) - product
    return (2.0 * product + _C1) * (2.0 * covariance + _C2) / ((squares + _C1) * (variances + _C2))


@lru_cache(maxsize=16)
def _mean_matrix(length: int) -> Tensor:
    """Return (length, length) float32: row i holds the window around pixel i."""
    radius = _WINDOW // 2
    if length <= radius:
        raise ValueError(f"images of {length} pixels cannot be mirrored by {radius}")
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    pixels = np.arange(length)
    mirrored = length - 1 - np.abs(length - 1 - np.abs(pixels[:, None] + offsets))
    matrix = np.zeros((length, length))
    np.add.at(matrix, (pixels[:, None], mirrored), window / window.sum())
    return torch.from_numpy(matrix.astype(np.float32))
