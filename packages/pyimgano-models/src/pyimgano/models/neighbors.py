"""Exact nearest neighbours, found by matrix products and decided by direct distances.

A matrix product gives all squared distances of a tile at the speed of the hardware, but in float32 and with
cancellation: two vectors far from the origin and close to each other come out wrong. Here the product is a filter only.
Its error has a bound; every pair that could be among the nearest within that bound is computed again directly,
``sum((a - b)**2)`` in float64, and these values alone decide. So the result is the exact one, does not depend on how
many queries are asked at once, on the number of threads or on the BLAS, and a tie goes to the lowest index.
"""

from __future__ import annotations

import math
from typing import Optional

import numpy as np

from pyimgano.models.parallel import map_blocks, split_blocks

__all__ = ["TINY", "Frame", "GroupNeighbors", "Neighbors", "paired_distances", "plausible_pairs", "squared_distances"]

_ROWS = 512
"""Queries per product, at most."""
_FEW_ROWS = 64
"""Queries that are worth a thread of their own."""
_GROUP_ROWS = 128
"""Vectors per product where groups are asked."""
_COLUMNS = 4096
"""Bank rows per product: with 512 queries the tile takes 8 MiB, which stays in the last-level cache."""
_DIRECT_VALUES = 1 << 20
"""Differences computed at once when pairs are re-derived: 8 MiB of float64."""
_LARGEST = 1e37
"""Vectors with values beyond this are refused: differences and norms could leave float32."""
_HUGE = 1e30
"""Squared norms of queries above this (in units of the bank's extent) could overflow float32 products."""
TINY = 1e-34
"""More than what underflow can take from a product."""


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distances of paired rows, without cancellation.

    Parameters
    ----------
    a, b : ndarray, (n, d) or (d,)
        Floating; broadcast against each other along the first axis.

    Returns
    -------
    ndarray, (n,) float64
        ``sum((a[i] - b[i])**2)``, computed in float64. A row's value does not depend on the other rows.
    """
    difference = np.subtract(a, b, dtype=np.float64)
    result: np.ndarray = np.einsum("ij,ij->i", difference, difference)
    return result


def paired_distances(a: np.ndarray, rows: np.ndarray, b: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the squared distances of ``a[rows]`` and ``b[columns]``, a bounded number at a time."""
    result = np.empty(len(rows))
    step = max(1, _DIRECT_VALUES // a.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        result[part] = squared_distances(a[rows[part]], b[columns[part]])
    return result


class Frame:
    """Origin and unit of length in which the products are computed.

    Shifting the vectors to their mean and scaling them by a power of two keeps the products' errors small and away
    from overflow and underflow.

    Parameters
    ----------
    vectors : ndarray, (n, d) float32
        The vectors that the frame is made for.

    Attributes
    ----------
    origin : ndarray, (d,) float32
        What is subtracted.
    scale : float
        A power of two that is multiplied.
    error : float
        The error of a product is at most ``error * (squared norm of the query + that of the bank row)``, plus 1e-34.

    Raises
    ------
    ValueError
        When a value is not finite.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        low, high = vectors.min(axis=0).astype(np.float64), vectors.max(axis=0).astype(np.float64)
        if not (low.min() > -_LARGEST and high.max() < _LARGEST):  # also true when either is NaN
            raise ValueError(f"the vectors have values that are not finite, or beyond ±{_LARGEST:g}")
        sample = vectors[:: max(1, len(vectors) // 4096)]
        self.origin = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        extent = float(max((high - self.origin).max(), (self.origin - low).max()))
        self.scale = 2.0 ** -max(-100, math.frexp(extent)[1])
        # d + 1 products and additions, each with half an epsilon, in terms whose absolute values sum up to at most
        # twice the squared norms; half of that again for the norms; shift and comparison round a few times more.
        self.error = (1.5 * vectors.shape[1] + 16) * float(np.finfo(np.float32).eps)

    def queries(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors as queries, (n, d + 1) float32, and their squared norms, (n,) float32.

        The product of a query and a bank row of :meth:`bank` is their squared distance less the query's squared norm.
        """
        placed = np.empty((len(vectors), vectors.shape[1] + 1), dtype=np.float32)
        shifted = placed[:, :-1]
        np.subtract(vectors, self.origin, out=shifted)
        with np.errstate(over="ignore"):  # plausible_pairs sees by the norms which are beyond float32
            shifted *= self.scale
            norms = np.einsum("ij,ij->i", shifted, shifted)
        placed[:, -1] = 1.0
        return placed, norms

    def bank(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors as bank rows, (n, d + 1) float32: the vector times -2, and its squared norm."""
        placed, norms = self.queries(vectors)
        placed[:, :-1] *= -2.0
        placed[:, -1] = norms
        return placed


def plausible_pairs(
    queries: np.ndarray,
    norms: np.ndarray,
    bank: np.ndarray,
    bounds: np.ndarray,
    error: float,
    *,
    k: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of a tile that may be among the ``k`` nearest, given what is known already.

    Parameters
    ----------
    queries, norms
        From :meth:`Frame.queries`.
    bank : ndarray, (m, d + 1) float32
        From :meth:`Frame.bank`.
    bounds : ndarray, (n,) float64
        Squared distances (in the frame's units) that a pair must not exceed to matter.
    error : float
        :attr:`Frame.error`.
    k : int
        Number of neighbours wanted.

    Returns
    -------
    rows, columns : ndarray of int64
        Indices into the queries and the bank, sorted by row and column. No pair that matters is missing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product = queries @ bank.T
    huge = norms > _HUGE
    if huge.any():  # beyond float32: all their pairs are to be computed directly
        product[huge] = -np.inf
        norms = np.where(huge, 0.0, norms)
    slack = error * (norms + float(bank[:, -1].max())) + TINY
    if k == 1:
        smallest = product.min(axis=1)
    elif k >= product.shape[1]:
        smallest = product.max(axis=1)
    else:
        smallest = _kth_bound(product, k)
    # A pair that matters has a distance of at most min(bound, smallest + slack); its product may be off by slack.
    limit = np.minimum(bounds - norms, smallest + slack) + slack
    pairs = np.flatnonzero(product <= limit.astype(np.float32)[:, None])
    rows, columns = np.divmod(pairs, product.shape[1])
    return rows, columns


def _kth_bound(product: np.ndarray, k: int) -> np.ndarray:
    """Return an upper bound of each row's k-th smallest value: the k-th smallest of the minima of disjoint blocks."""
    width = product.shape[1] // k
    width = max(1, min(width, 64))
    blocks = product.shape[1] // width
    minima = product[:, : blocks * width].reshape(len(product), blocks, width).min(axis=2)
    bound: np.ndarray = np.partition(minima, k - 1, axis=1)[:, k - 1]
    return bound


class Neighbors:
    """Exact nearest neighbours in a bank of vectors.

    Parameters
    ----------
    bank : ndarray, (m, d) float32
        At least one row, all finite. Kept, not copied; a shifted copy of the same size is made for the products.

    Raises
    ------
    ValueError
        When the bank is empty, is not two-dimensional, or has values that are not finite.
    """

    def __init__(self, bank: np.ndarray) -> None:
        if bank.ndim != 2 or 0 in bank.shape:
            raise ValueError(f"the bank has shape {bank.shape}; allowed: (m, d), not empty")
        self.bank = np.ascontiguousarray(bank, dtype=np.float32)
        self._frame = Frame(self.bank)
        self._placed = self._frame.bank(self.bank)

    def __len__(self) -> int:
        return len(self.bank)

    def query(self, vectors: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the ``k`` nearest bank rows of each vector.

        Parameters
        ----------
        vectors : ndarray, (n, d) float32
            All finite.
        k : int
            From 1 to the number of bank rows.

        Returns
        -------
        distances : ndarray, (n, k) float64
            Euclidean distances, ascending.
        indices : ndarray, (n, k) int64
            Rows of the bank; of equal distances, the lowest index first.

        Raises
        ------
        ValueError
            When the shape does not fit the bank's, a value is not finite, or ``k`` is out of range.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.bank.shape[1]:
            raise ValueError(f"the vectors have shape {vectors.shape}; allowed: (n, {self.bank.shape[1]})")
        if not 1 <= k <= len(self.bank):
            raise ValueError(f"k = {k}; allowed: 1 to {len(self.bank)}, the size of the bank")
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("the vectors have values that are not finite")
        squared = np.empty((len(vectors), k))
        indices: np.ndarray = np.empty((len(vectors), k), dtype=np.int64)

        def work(part: slice) -> None:
            squared[part], indices[part] = self._query_block(vectors[part], k)

        map_blocks(work, split_blocks(len(vectors), most=_ROWS, least=_FEW_ROWS))
        return np.sqrt(squared), indices

    def _query_block(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        queries, norms = self._frame.queries(vectors)
        best: Optional[tuple[np.ndarray, np.ndarray]] = None
        bounds = np.full(len(vectors), np.inf)
        for start in range(0, len(self.bank), _COLUMNS):
            tile = self._placed[start : start + _COLUMNS]
            rows, columns = plausible_pairs(queries, norms, tile, bounds, self._frame.error, k=k)
            columns += start
            squared = paired_distances(vectors, rows, self.bank, columns)
            if best is not None:
                rows = np.concatenate([np.repeat(np.arange(len(vectors)), best[0].shape[1]), rows])
                squared = np.concatenate([best[0].ravel(), squared])
                columns = np.concatenate([best[1].ravel(), columns])
            best = _nearest_of_pairs(rows, columns, squared, len(vectors), min(k, start + len(tile)))
            if best[0].shape[1] == k:
                bounds = best[0][:, -1] * self._frame.scale**2
        assert best is not None
        return best


class GroupNeighbors:
    """How near vectors come to each of several groups of vectors, such as the patches of each of several images.

    Parameters
    ----------
    groups : ndarray, (g, m, d) float32
        All finite. Kept, not copied; a shifted copy of the same size is made for the products.

    Raises
    ------
    ValueError
        When it is empty, is not three-dimensional, or has values that are not finite.
    """

    def __init__(self, groups: np.ndarray) -> None:
        if groups.ndim != 3 or 0 in groups.shape:
            raise ValueError(f"the groups have shape {groups.shape}; allowed: (g, m, d), not empty")
        self.groups = np.ascontiguousarray(groups, dtype=np.float32)
        self._rows = self.groups.reshape(-1, groups.shape[2])
        self._frame = Frame(self._rows)
        self._placed = self._frame.bank(self._rows)

    def __len__(self) -> int:
        return len(self.groups)

    def query(self, vectors: np.ndarray, k: int, *, without: Optional[int] = None) -> np.ndarray:
        """Return each vector's distances to the ``k`` groups that it comes nearest to.

        Parameters
        ----------
        vectors : ndarray, (n, d) float32
            All finite.
        k : int
            From 1 to the number of groups, less the one left out.
        without : int, optional
            Index of a group to leave out.

        Returns
        -------
        ndarray, (n, k) float64
            Ascending; each is the distance to the nearest row of one group. Which row and which groups these are is
            told by products in float32, so of nearly equal ones it may be another (squared distances that differ by
            less than ``Frame.error`` times the squared norms); the distances themselves are computed directly.

        Raises
        ------
        ValueError
            When the shape does not fit, a value is not finite, or ``k`` or ``without`` is out of range.
        """
        count, size, dimension = self.groups.shape
        if vectors.ndim != 2 or vectors.shape[1] != dimension:
            raise ValueError(f"the vectors have shape {vectors.shape}; allowed: (n, {dimension})")
        if without is not None and not 0 <= without < count:
            raise ValueError(f"without = {without}; allowed: 0 to {count - 1}")
        left = count - (without is not None)
        if not 1 <= k <= left:
            raise ValueError(f"k = {k}; allowed: 1 to {left}, the number of groups")
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("the vectors have values that are not finite")
        result = np.empty((len(vectors), k))
        tile = max(1, _COLUMNS // size)

        def work(start: int) -> None:
            part = slice(start, start + _GROUP_ROWS)
            queries, _ = self._frame.queries(vectors[part])
            nearest: np.ndarray = np.empty((len(queries), count), dtype=np.int64)
            values = np.empty((len(queries), count), dtype=np.float32)
            for first in range(0, count, tile):
                last = min(first + tile, count)
                product = queries @ self._placed[first * size : last * size].T
                product = product.reshape(len(queries), last - first, size)
                index = product.argmin(axis=2)
                values[:, first:last] = np.take_along_axis(product, index[..., None], axis=2)[..., 0]
                nearest[:, first:last] = index + np.arange(first, last) * size
            if without is not None:
                values[:, without] = np.inf
            chosen = np.argpartition(values, k - 1, axis=1)[:, :k]
            columns = np.take_along_axis(nearest, chosen, axis=1).ravel()
            rows = np.repeat(np.arange(start, start + len(queries)), k)
            squared = paired_distances(vectors, rows, self._rows, columns).reshape(-1, k)
            result[part] = np.sqrt(np.sort(squared, axis=1))

        # Blocks of one size whatever the number of cores: a product's last bits depend on it.
        map_blocks(work, range(0, len(vectors), _GROUP_ROWS))
        return result


def _nearest_of_pairs(
    rows: np.ndarray, columns: np.ndarray, squared: np.ndarray, count: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's ``k`` nearest of its pairs (it has at least as many); equal ones in the order they come in."""
    order = np.lexsort((squared, rows))
    first: np.ndarray = np.searchsorted(rows[order], np.arange(count))
    chosen = order[first[:, None] + np.arange(k)]
    return squared[chosen], columns[chosen]
