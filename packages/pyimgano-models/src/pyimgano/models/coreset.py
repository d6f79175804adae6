"""Greedy k-centre coresets, exact, at a fraction of the cost of the plain algorithm.

The plain greedy algorithm (Gonzalez 1985; Sener & Savarese, ICLR 2018, arXiv 1708.00489, which PatchCore takes over)
chooses, again and again, the point that is farthest from all chosen ones, and after each choice computes the distance
of every point to it. But to know the farthest point is all that it needs. So every point keeps an *upper bound* of its
distance to the chosen ones, possibly stale, and only the points at the top of the bounds are looked at:

1. The points with the greatest bounds form a pool; the greatest bound outside is the pool's limit.
2. Each is compared with the chosen ones nearby (those in the same and the nearest cells of a coarse partition). Most
   bounds fall below the limit, and these points are done for now.
3. The rest are compared with all the chosen ones that they have not seen, by matrix products that serve as a filter;
   what the filter lets pass is computed directly (see :mod:`pyimgano.models.neighbors`). Their bounds are now exact.
4. The greedy algorithm runs among them with direct distances, as long as its farthest is beyond the limit.

The selection is the plain one's, index by index: in float64, ties to the lowest index. No matrix of n × m values, nor
any other copy of the features, is ever held.
"""

from __future__ import annotations

import numpy as np

from pyimgano.models.neighbors import TINY, Frame, paired_distances, plausible_pairs, squared_distances
from pyimgano.models.parallel import map_blocks, one_blas_thread, split_blocks

__all__ = ["coreset_size", "greedy_coreset", "sparse_projection"]

_POOL = 4096
"""Points looked at in one round."""
_INSIDE = 1024
"""Points among which the greedy algorithm runs in one round, at most."""
_ROWS, _COLUMNS = 256, 2048
"""Points and centres of one product."""
_CELLS, _NEAREST_CELLS = 64, 4
"""Cells of the partition, and how many of them, its own first, count as near a point."""
_SCAN = 8192
"""Points per step where all of them are passed through."""


def coreset_size(n_points: int, ratio: float) -> int:
    """Return how many of ``n_points`` a sampling ratio in (0, 1] means: their product, rounded down, at least 1."""
    # 0.29 * 100 is 28.999999999999996: what is a whole number to the user must not lose one to rounding.
    return min(n_points, max(1, int(n_points * ratio + 1e-6)))


def sparse_projection(features: np.ndarray, dimension: int, *, seed: int = 0) -> np.ndarray:
    """Return features projected at random to fewer dimensions, distances nearly kept (Johnson–Lindenstrauss).

    The matrix is the very sparse one of Li, Hastie & Church (KDD 2006): with ``s = sqrt(d)``, its entries are
    ``±sqrt(s / dimension)`` with probability ``1 / (2 s)`` each, else 0.

    Parameters
    ----------
    features : ndarray, (n, d) float32
    dimension : int
        Number of dimensions to project to. Not less than ``d``: the features are returned as they are, since a
        projection to more dimensions costs time and gains nothing.
    seed : int
        Of the matrix.

    Returns
    -------
    ndarray, (n, dimension) float32
    """
    source = features.shape[1]
    if dimension >= source:
        return features
    rng = np.random.default_rng(seed)
    spread = source**0.5
    matrix = np.zeros((source, dimension), dtype=np.float32)
    filled = rng.random((source, dimension)) < 1.0 / spread
    signs = rng.integers(0, 2, size=int(filled.sum())) * 2 - 1
    matrix[filled] = signs * (spread / dimension) ** 0.5
    projected = np.empty((len(features), dimension), dtype=np.float32)

    def work(start: int) -> None:  # equal blocks whatever the number of cores: a product's last bits depend on them
        projected[start : start + _SCAN] = features[start : start + _SCAN] @ matrix

    map_blocks(work, range(0, len(features), _SCAN))
    return projected


def greedy_coreset(features: np.ndarray, size: int, *, start: int = 0) -> np.ndarray:
    """Select points such that every point is near a selected one: exact greedy k-centre.

    Parameters
    ----------
    features : ndarray, (n, d)
        Floating, taken as float32; all finite.
    size : int
        Number of points to select, from 1 to ``n``.
    start : int
        Index of the point to begin with.

    Returns
    -------
    ndarray, (size,) int64
        Distinct indices in the order of selection. The first is ``start``; each further one is the point, not yet
        selected, that is farthest from all selected before (squared Euclidean distance summed in float64; of equally
        far ones the lowest index). So a smaller coreset is the beginning of a greater one.

    Raises
    ------
    ValueError
        When the shape, ``size`` or ``start`` is not as described, or a value is not finite.

    Notes
    -----
    Beyond the features it holds about 24 bytes a point, ``4 (d + 1)`` bytes a selected point, and tiles of some
    ``12,000 d`` bytes and 30 MB.
    """
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"the features have shape {features.shape}; allowed: (n, d), not empty")
    if not 1 <= size <= len(features):
        raise ValueError(f"size = {size}; allowed: 1 to {len(features)}, the number of points")
    if not 0 <= start < len(features):
        raise ValueError(f"start = {start}; allowed: 0 to {len(features) - 1}")
    with one_blas_thread():
        search = _Search(np.ascontiguousarray(features, dtype=np.float32), size)
        search.begin(start)
        while search.count < size:
            search.round()
    return search.chosen


class _Search:
    """The state of one selection. All squared distances are in the units of the frame; chosen points have -1."""

    def __init__(self, points: np.ndarray, size: int) -> None:
        self.points = points
        self.size = size
        self.frame = Frame(points)
        self.unit = self.frame.scale**2
        self.bounds = np.empty(len(points))
        # How many centres, in their order, the bound has seen.
        self.seen: np.ndarray = np.ones(len(points), dtype=np.int64)
        self.count = 0
        self.chosen: np.ndarray = np.empty(size, dtype=np.int64)
        self.centres = np.empty((size, points.shape[1] + 1), dtype=np.float32)
        self.cells = _Cells(points, self.frame) if size >= 4 * _CELLS else None

    def begin(self, start: int) -> None:
        """Choose the first point and compute everyone's distance to it."""

        def work(part: slice) -> None:
            self.bounds[part] = squared_distances(self.points[part], self.points[start]) * self.unit

        map_blocks(work, split_blocks(len(self.points), most=max(1, (1 << 18) // self.points.shape[1])))
        self._choose(start)
        self.bounds[start] = -1.0

    def _choose(self, index: int) -> None:
        self.chosen[self.count] = index
        self.centres[self.count] = self.frame.bank(self.points[index : index + 1])[0]
        if self.cells is not None:
            self.cells.add(index, self.count)
        self.count += 1

    def round(self) -> None:
        """Make the top of the bounds exact, and choose as long as the farthest is among them."""
        pool, limit = _top(self.bounds, np.arange(len(self.bounds)), _POOL)
        bounds, seen = self.bounds[pool], self.seen[pool]
        queries, norms = self.frame.queries(self.points[pool])
        if self.cells is not None:
            stale = np.flatnonzero(seen < self.count)
            self.cells.tighten(bounds, stale, pool, queries, norms, self.centres, self.frame.error)
        reach = bounds >= max(limit[0], 0.0)
        stale = np.flatnonzero(reach & (seen < self.count))
        self._refresh(pool, bounds, stale[np.argsort(seen[stale], kind="stable")], seen, queries, norms)
        self.bounds[pool], self.seen[pool] = bounds, seen
        exact = np.flatnonzero(reach & (bounds >= max(limit[0], 0.0)))
        if len(exact) == 0:
            return
        inside, inner_limit = _top(bounds[exact], pool[exact], _INSIDE)
        limit = max(limit, inner_limit, key=_rank)
        inside = exact[inside]
        self._choose_among(pool[inside], queries[inside, :-1], norms[inside], limit)

    def _refresh(
        self,
        pool: np.ndarray,
        bounds: np.ndarray,
        stale: np.ndarray,
        seen: np.ndarray,
        queries: np.ndarray,
        norms: np.ndarray,
    ) -> None:
        """Make the bounds of the stale points of the pool (those that saw least first) exact."""

        def work(part: slice) -> None:
            block = stale[part]
            for start in range(int(seen[block[0]]), self.count, _COLUMNS):
                tile = slice(start, min(start + _COLUMNS, self.count))
                rows, columns = plausible_pairs(
                    queries[block], norms[block], self.centres[tile], bounds[block], self.frame.error
                )
                rows = block[rows]
                squared = paired_distances(self.points, pool[rows], self.points, self.chosen[start + columns])
                np.minimum.at(bounds, rows, squared * self.unit)

        map_blocks(work, split_blocks(len(stale), most=_ROWS, least=64))
        seen[stale] = self.count

    def _choose_among(
        self, points: np.ndarray, vectors: np.ndarray, norms: np.ndarray, limit: tuple[float, int]
    ) -> None:
        """Run the plain algorithm among points whose bounds are exact, while it cannot be wrong about the others."""
        bounds = self.bounds[points]
        exact = self.points[points].astype(np.float64)
        # What a product says a squared distance is at least; only where that is below the bound it can matter.
        least = vectors @ (-2.0 * vectors).T
        least += (norms * (1.0 - self.frame.error) - TINY).astype(np.float32)
        least += (norms * (1.0 - self.frame.error) - TINY).astype(np.float32)[:, None]
        while self.count < self.size:
            farthest = int(bounds.argmax())
            if _rank((bounds[farthest], int(points[farthest]))) < _rank(limit):
                break
            self._choose(int(points[farthest]))
            closer = np.flatnonzero(least[farthest] < bounds)
            squared = squared_distances(exact[closer], exact[farthest]) * self.unit
            bounds[closer] = np.minimum(bounds[closer], squared)
            bounds[farthest] = -1.0
        self.bounds[points] = bounds
        self.seen[points] = self.count


def _rank(candidate: tuple[float, int]) -> tuple[float, int]:
    """Return a key that is greatest for the point to choose: the farthest, of equals the lowest index."""
    return (candidate[0], -candidate[1])


def _top(bounds: np.ndarray, points: np.ndarray, count: int) -> tuple[np.ndarray, tuple[float, int]]:
    """Return where the ``count`` first-ranked points stand, ascending, and the best-ranked one that is left out.

    Parameters
    ----------
    bounds, points : ndarray, (n,)
        Bounds and indices of points, by ascending index.
    count : int
        How many to take.

    Returns
    -------
    places : ndarray of int64
        Positions in ``bounds``.
    limit : (float, int)
        Bound and index of the best of the others; (-inf, -1) when there are none.
    """
    if len(bounds) <= count:
        return np.arange(len(bounds)), (-np.inf, -1)
    edge = np.partition(bounds, len(bounds) - count - 1)[len(bounds) - count - 1]
    above = np.flatnonzero(bounds > edge)
    equal = np.flatnonzero(bounds == edge)
    missing = count - len(above)
    places = np.sort(np.concatenate([above, equal[:missing]]))
    return places, (float(edge), int(points[equal[missing]]))


class _Cells:
    """A coarse partition of the points, to find chosen ones near a point without looking at all."""

    def __init__(self, points: np.ndarray, frame: Frame) -> None:
        # Any points do, the selection does not depend on them; random ones follow the density.
        pivots = frame.bank(points[np.sort(np.random.default_rng(0).choice(len(points), _CELLS, replace=False))])
        self.of_point: np.ndarray = np.empty(len(points), dtype=np.int16)

        def work(part: slice) -> None:
            self.of_point[part] = (frame.queries(points[part])[0] @ pivots.T).argmin(axis=1)

        map_blocks(work, split_blocks(len(points), most=_SCAN))
        between = (pivots[:, :-1] * -0.5) @ pivots[:, :-1].T + pivots[:, -1]
        self.nearest = np.argsort(between, axis=1, kind="stable")[:, :_NEAREST_CELLS]
        self.members: list[list[int]] = [[] for _ in range(_CELLS)]

    def add(self, point: int, centre: int) -> None:
        """Enter a chosen point: the ``centre``-th one."""
        self.members[self.of_point[point]].append(centre)

    def tighten(
        self,
        bounds: np.ndarray,
        rows: np.ndarray,
        pool: np.ndarray,
        queries: np.ndarray,
        norms: np.ndarray,
        centres: np.ndarray,
        error: float,
    ) -> None:
        """Lower the bounds of some rows of the pool by the chosen points near them; they stay upper bounds."""
        cells = self.of_point[pool[rows]]
        by_cell = rows[np.argsort(cells, kind="stable")]
        edges: np.ndarray = np.searchsorted(np.sort(cells), np.arange(_CELLS + 1))

        def work(cell: int) -> None:
            block = by_cell[edges[cell] : edges[cell + 1]]
            near = [centre for other in self.nearest[cell] for centre in self.members[other]]
            if len(block) == 0 or len(near) == 0:
                return
            bank = centres[near]
            smallest = (queries[block] @ bank.T).min(axis=1) + norms[block]
            smallest += error * (norms[block] + float(bank[:, -1].max())) + TINY
            bounds[block] = np.minimum(bounds[block], np.maximum(smallest, 0.0))

        map_blocks(work, range(_CELLS))
