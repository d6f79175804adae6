"""Which of many vectors stand best for all: greedy k-medoids."""

from __future__ import annotations

import numpy as np

from pyimgano.models.parallel import one_blas_thread

__all__ = ["greedy_medoids"]


def greedy_medoids(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the places of vectors that the others are near to, the most central one first.

    The BUILD phase of PAM (Kaufman & Rousseeuw, *Finding Groups in Data*, 1990): each vector chosen is the one that
    lowers the sum, over all vectors, of the Euclidean distance to the nearest chosen one the most. Of equals the first
    is taken. It is deterministic, and fewer medoids are a prefix of more. The SWAP phase is left out: it would lose
    that, for a few per cent of the sum.

    Parameters
    ----------
    vectors : ndarray, (N, D)
    count : int
        At most N are returned; fewer where the rest are copies of chosen ones.

    Returns
    -------
    ndarray, (k,) int64
        Time is of the order ``N² (D + k)``, memory about ``32 N²`` bytes.
    """
    points = np.asarray(vectors, dtype=np.float64)
    points = points - points.mean(axis=0)  # or the products below cancel
    squares = np.einsum("nd,nd->n", points, points)
    with one_blas_thread():
        squared = squares[:, None] + squares[None] - 2.0 * (points @ points.T)
    # What rounding leaves of the distance between copies is no distance.
    floor = 1e-12 * float(squares.max(initial=0.0))
    distances = np.sqrt(np.where(squared > floor, squared, 0.0))
    chosen = [int(np.argmin(distances.sum(axis=0)))]
    nearest = distances[chosen[0]]
    while len(chosen) < min(count, len(points)) and nearest.max() > 0.0:
        gains = np.maximum(nearest[:, None] - distances, 0.0).sum(axis=0)
        chosen.append(int(np.argmax(gains)))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return np.array(chosen, dtype=np.int64)
