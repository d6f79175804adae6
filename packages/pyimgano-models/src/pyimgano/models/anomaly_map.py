"""From distances on a grid of patches to an anomaly map at the resolution of the image that the network saw."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pyimgano.models.parallel import one_blas_thread
from pyimgano.models.resampling import gaussian_matrix, resampling_matrix

__all__ = ["axis_matrix", "render_maps"]


def render_maps(
    distances: np.ndarray,
    size: tuple[int, int],
    *,
    sigma: float,
    interpolation: str = "bilinear",
    truncate: float = 4.0,
) -> np.ndarray:
    """Return distances on a grid, interpolated to image size and smoothed by a Gaussian.

    Parameters
    ----------
    distances : ndarray, (N, h, w)
    size : (int, int)
        (height, width) of the maps.
    sigma : float
        Standard deviation of the Gaussian in pixels of the map; 0 leaves it out. The border is mirrored about the
        outermost pixels.
    interpolation : {"bilinear", "nearest", "bilinear-corners"}
        Between the centres of the patches, constant on each patch, or as if the outermost patches lay on the border
        (PyTorch's ``align_corners=True``).
    truncate : float
        Standard deviations at which the Gaussian's kernel ends.

    Returns
    -------
    ndarray, (N, height, width) float32
        A map does not depend on the others.
    """
    # Both steps are linear and separable: the map is rows · distances · columnsᵀ, two small products.
    rows = axis_matrix(distances.shape[1], size[0], float(sigma), interpolation, float(truncate))
    columns = axis_matrix(distances.shape[2], size[1], float(sigma), interpolation, float(truncate)).T
    maps = np.empty((len(distances), *size), dtype=np.float32)
    with one_blas_thread():
        for grid, out in zip(distances, maps):
            out[...] = rows @ grid.astype(np.float64) @ columns
    return maps


@lru_cache(maxsize=16)
def axis_matrix(
    source: int, target: int, sigma: float, interpolation: str = "bilinear", truncate: float = 4.0
) -> np.ndarray:
    """Return the (target, source) float64 matrix of interpolation and smoothing along one axis; do not change it."""
    matrix = resampling_matrix(source, target, interpolation)
    return gaussian_matrix(matrix, sigma, truncate=truncate) if sigma > 0 else matrix
