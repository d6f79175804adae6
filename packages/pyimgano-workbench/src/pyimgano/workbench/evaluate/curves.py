"""Curves of a ranking, thinned to what a page can hold.

A point is [x, y, threshold]: what the rates are when everything that scores at least the threshold is predicted to be
defective. Every threshold is finite, and can be typed in to get the point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.core.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.evaluate.ranking import Ranking

__all__ = ["POINTS", "pr_points", "pro_points", "roc_points", "thin"]

POINTS = 500
"""Of a curve in ``curves.json``, at most."""
GRID = 4096
"""Of more thresholds than twice this, those are left out that move neither rate by more than 1 / this."""


def thin(points: np.ndarray, *, limit: int = POINTS) -> list[list[float]]:
    """Return at most ``limit`` of a curve's points: both ends, and those whose loss would move the curve most.

    Parameters
    ----------
    points : ndarray, (n, 3)
        x, y and threshold, in the order of the curve; finite.
    limit : int
        At least 2.

    Returns
    -------
    list of [float, float, float]
        In the same order. The same points for the same curve, always.

    Raises
    ------
    ParameterError
        When ``points`` has another shape or a value is not finite, or ``limit`` is less than 2.

    References
    ----------
    M. Visvalingam, J. D. Whyatt, *Line generalisation by repeated elimination of points*, The Cartographic Journal 30,
    1993: a point's worth is the area of the triangle with its neighbours.
    """
    import numpy as np

    kept = np.asarray(points, dtype=np.float64)
    if kept.ndim != 2 or kept.shape[1] != 3:
        raise ParameterError(f"shape {kept.shape}", where="points", allowed="(n, 3): x, y, threshold")
    if not np.isfinite(kept).all():
        row = int(np.argmin(np.isfinite(kept).all(axis=1)))
        raise ParameterError(f"{kept[row].tolist()} at position {row}", where="points", allowed="finite numbers")
    if limit < 2:
        raise ParameterError(f"{limit}", where="limit", allowed="at least 2: the ends are kept")
    while len(kept) > 4 * limit:  # many at a time, never two neighbours: a triangle stays what it was measured as
        candidates = np.arange(1, len(kept) - 1, 2)
        least = candidates[np.argsort(_areas(kept)[candidates - 1], kind="stable")[: len(candidates) // 2]]
        kept = np.delete(kept, least, axis=0)
    while len(kept) > limit:
        kept = np.delete(kept, 1 + int(np.argmin(_areas(kept))), axis=0)
    thinned: list[list[float]] = kept.tolist()
    return thinned


def roc_points(ranking: Ranking) -> np.ndarray:
    """Return (n, 3): false-positive rate, recall, threshold; from (0, 0) to (1, 1)."""
    import numpy as np

    parts = []
    for step in ranking.steps():
        recall, fpr = step.true / ranking.n_defective, step.false / ranking.n_good
        rows = _rows(ranking, fpr, recall)
        lower = (step.true - step.counts) / ranking.n_defective
        before = np.stack([step.before[rows] / ranking.n_good, lower[rows]], axis=1)
        parts.append(_corners(step.values[rows], before, np.stack([fpr[rows], recall[rows]], axis=1)))
    return _closed(ranking, parts)


def pro_points(ranking: Ranking, n_regions: int) -> np.ndarray:
    """Return (n, 3): false-positive rate, mean overlap with the regions, threshold; from (0, 0) to (1, 1)."""
    import numpy as np

    parts = []
    for step in ranking.steps():
        if step.overlap is None or step.overlap_before is None:
            raise ValueError("the overlap with regions needs the weights of the pixels")
        overlap, fpr = np.minimum(step.overlap / n_regions, 1.0), step.false / ranking.n_good
        rows = _rows(ranking, fpr, overlap)
        lower = np.minimum(step.overlap_before[rows] / n_regions, 1.0)
        before = np.stack([step.before[rows] / ranking.n_good, lower], axis=1)
        parts.append(_corners(step.values[rows], before, np.stack([fpr[rows], overlap[rows]], axis=1)))
    return _closed(ranking, parts)


def pr_points(ranking: Ranking) -> np.ndarray:
    """Return (n, 3): recall, precision, threshold, at the scores of what is defective (where AP is summed)."""
    import numpy as np

    parts = []
    for step in ranking.steps():
        recall, precision = step.true / ranking.n_defective, step.true / (step.true + step.false)
        rows = _rows(ranking, recall, precision)
        parts.append(np.stack([recall[rows], precision[rows], step.values[rows].astype(np.float64)], axis=1))
    return np.concatenate(parts)


def _rows(ranking: Ranking, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Choose thresholds so that no rate moves by more than 1 / GRID between two of them, unless it does so at one."""
    import numpy as np

    if ranking.size <= 2 * GRID:
        return np.arange(first.size)
    changes = np.zeros(first.size, dtype=np.bool_)
    changes[[0, -1]] = True
    for rate in (first, second):
        cell = np.floor(rate * GRID)
        moved = np.flatnonzero(cell[1:] != cell[:-1])
        changes[moved] = True
        changes[moved + 1] = True
    return np.flatnonzero(changes)


def _corners(values: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return two points per defective score: with the threshold just above it, and at it."""
    import numpy as np

    at = values.astype(np.float64)
    above = np.column_stack([before, np.minimum(np.nextafter(at, np.inf), np.finfo(np.float64).max)])
    return np.stack([above, np.column_stack([after, at])], axis=1).reshape(-1, 3)


def _closed(ranking: Ranking, parts: list[np.ndarray]) -> np.ndarray:
    """Return the whole curve with both ends, no point twice."""
    import numpy as np

    corners = np.concatenate(parts)
    top = max(float(corners[0, 2]), ranking.highest_good)
    first = [0.0, 0.0, min(float(np.nextafter(top, np.inf)), float(np.finfo(np.float64).max))]
    last = [1.0, 1.0, min(float(corners[-1, 2]), ranking.lowest_good)]
    curve = np.concatenate([[first], corners, [last]])
    same = np.all(curve[1:, :2] == curve[:-1, :2], axis=1)
    return curve[np.append(True, ~same)]


def _areas(points: np.ndarray) -> np.ndarray:
    """Return twice the area of the triangle of each inner point and its neighbours."""
    import numpy as np

    before, at, after = points[:-2], points[1:-1], points[2:]
    left, right = at - before, after - at
    return np.abs(left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])
