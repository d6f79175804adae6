"""Curves of a ranking, thinned to what a page can hold.

A point is [x, y, threshold]: what the rates are when everything that scores at least the threshold is predicted to be
defective. Every threshold is finite, and can be typed in to get the point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    values, counts, below, up_to = ranking.tallies()
    recall = np.cumsum(counts[::-1])[::-1] / ranking.n_defective
    return _steps(ranking, recall, _rows(recall, below / ranking.n_good), values, below, up_to)


def pro_points(ranking: Ranking, n_regions: int) -> np.ndarray:
    """Return (n, 3): false-positive rate, mean overlap with the regions, threshold; from (0, 0) to (1, 1)."""
    import numpy as np

    values, _, below, up_to = ranking.tallies()
    overlap = np.minimum(ranking.overlaps(n_regions), 1.0)
    return _steps(ranking, overlap, _rows(overlap, below / ranking.n_good), values, below, up_to)


def pr_points(ranking: Ranking) -> np.ndarray:
    """Return (n, 3): recall, precision, threshold, at the scores of what is defective (where AP is summed)."""
    import numpy as np

    values, counts, below, _ = ranking.tallies()
    true = np.cumsum(counts[::-1])[::-1]
    precision = true / (true + (ranking.n_good - below))
    recall = true / ranking.n_defective
    rows = _rows(recall, precision)
    return np.stack([recall[rows], precision[rows], values[rows].astype(np.float64)], axis=1)[::-1]


def _rows(first: Any, second: Any) -> np.ndarray:
    """Choose thresholds so that no rate moves by more than 1 / GRID between two of them, unless it does so at one."""
    import numpy as np

    if first.size <= 2 * GRID:
        return np.arange(first.size)
    cells = [np.floor(rate * GRID) for rate in (first, second)]
    changes = np.zeros(first.size, dtype=np.bool_)
    for cell in cells:
        moved = np.flatnonzero(cell[1:] != cell[:-1])
        changes[moved] = True
        changes[moved + 1] = True
    changes[[0, -1]] = True
    return np.flatnonzero(changes)


def _steps(
    ranking: Ranking, height: np.ndarray, rows: np.ndarray, values: np.ndarray, below: np.ndarray, up_to: np.ndarray
) -> np.ndarray:
    """Return the curve's corners: before and after each chosen defective score, from the highest down."""
    import numpy as np

    higher = np.append(height[1:], 0.0)  # while the threshold is still above the score
    at = values[rows].astype(np.float64)
    total = float(ranking.n_good)
    after = np.stack([(total - below[rows]) / total, height[rows], at], axis=1)
    before = np.stack([(total - up_to[rows]) / total, higher[rows], np.nextafter(at, np.inf)], axis=1)
    corners = np.stack([after, before], axis=1).reshape(-1, 3)[::-1]
    top = max(float(at[-1]), ranking.highest_good)
    ends = np.array([[0.0, 0.0, np.nextafter(top, np.inf)], [1.0, 1.0, min(float(at[0]), ranking.lowest_good)]])
    curve = np.concatenate([ends[:1], corners, ends[1:]])
    same = np.all(curve[1:, :2] == curve[:-1, :2], axis=1)
    return curve[np.append(True, ~same)]


def _areas(points: np.ndarray) -> np.ndarray:
    """Return twice the area of the triangle of each inner point and its neighbours."""
    import numpy as np

    before, at, after = points[:-2], points[1:-1], points[2:]
    left, right = at - before, after - at
    return np.abs(left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])
