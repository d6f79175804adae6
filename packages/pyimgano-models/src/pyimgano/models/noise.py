"""How much a patch sticks out among the patches of the same place in other images: SoftPatch's noise discriminators."""

from __future__ import annotations

import numpy as np

from pyimgano.models.gaussians import GaussianAccumulator
from pyimgano.models.neighbors import Neighbors

__all__ = ["gaussian_outlyingness", "local_outlier_factors", "nearest_outlyingness"]

_TINY = 1e-10
"""Keeps the density of equal points finite; scikit-learn's value."""


def local_outlier_factors(points: np.ndarray, *, neighbors: int) -> np.ndarray:
    """Return the local outlier factor of each point among the others (Breunig et al., SIGMOD 2000).

    Parameters
    ----------
    points : ndarray, (n, d) float32
    neighbors : int
        ``k``, the number of other points that a density is measured over; at most ``n - 1`` are taken.

    Returns
    -------
    ndarray, (n,) float64
        About 1 where a point's density is that of its neighbours, greater for an outlier. All 1 when ``n`` is 1.
        scikit-learn's ``-negative_outlier_factor_``, but for ties between equally distant neighbours.
    """
    if len(points) == 1:
        return np.ones(1)
    distances, indices = _others(points, min(neighbors, len(points) - 1))
    reach = np.maximum(distances, distances[indices, -1])
    density = 1.0 / (reach.mean(axis=1) + _TINY)
    factors: np.ndarray = density[indices].mean(axis=1) / density
    return factors


def nearest_outlyingness(points: np.ndarray) -> np.ndarray:
    """Return 1 plus the distance of each point to the nearest other one: (n,) float64; all 1 when ``n`` is 1."""
    if len(points) == 1:
        return np.ones(1)
    return 1.0 + _others(points, 1)[0][:, 0]


def gaussian_outlyingness(patches: np.ndarray, *, epsilon: float = 0.01) -> np.ndarray:
    """Return 1 plus the Mahalanobis distance of each patch to the Gaussian of its position.

    Parameters
    ----------
    patches : ndarray, (N, P, D) float32
        Of ``N`` images at ``P`` positions.
    epsilon : float
        Added to the diagonals of the covariances.

    Returns
    -------
    ndarray, (N, P) float64

    Raises
    ------
    ValueError
        When ``epsilon`` is too small for the features.
    """
    accumulator = GaussianAccumulator(*patches.shape[1:])
    accumulator.add(patches)
    return 1.0 + accumulator.finish(epsilon).distances(patches).astype(np.float64)


def _others(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and indices, (n, k), of each point's ``k`` nearest other points."""
    distances, indices = Neighbors(points).query(points, k + 1)
    itself = indices == np.arange(len(points))[:, None]
    # Among more than k points equal to it, a point may not come up itself: then the last one goes in its place.
    itself[~itself.any(axis=1), -1] = True
    shape = (len(points), k)
    return distances[~itself].reshape(shape), indices[~itself].reshape(shape)
