"""Counting a stream of good scores against sorted defective ones, without sorting the most of them.

A fine grid of equal steps lies over the scores. A good score in a cell that holds no defective score is counted with
its cell: whatever its value, it is above the same defective scores. Only those that share a cell with a defective
score are kept, and sorted, a few million at a time. The counts are exact for any grid; a grid that fits badly only
costs time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GoodCounts", "Sifted"]

CELLS = 1 << 20
"""Of the grid: 8 MB of counters, which a core's cache holds about."""
BLOCK = 1 << 18
"""Scores that are sifted at a time, so that what they become on the way stays in the cache."""
SAMPLE = 1 << 20
"""Good scores from which the grid's range is taken; they are sorted themselves."""
USELESS = 0.7
"""Share of the sample in cells with defective scores from which on a grid only costs time."""
KEPT = 8_000_000
"""Scores to be sorted that are kept at most: 32 MB in float32."""


class Sifted(NamedTuple):
    """A block of good scores: how many, their cells (None: no grid), and those that must be sorted."""

    size: int
    cells: Optional[np.ndarray]
    unclear: np.ndarray
    lowest: float
    highest: float


class GoodCounts:
    """How many good scores lie below, and at, each of some sorted scores.

    Parameters
    ----------
    values : ndarray, (k,) float32 or float64
        Distinct, ascending, finite.

    Attributes
    ----------
    total : int
        Good scores so far.
    lowest, highest : float
        Their range.
    """

    def __init__(self, values: np.ndarray) -> None:
        import numpy as np

        self._values = values
        self._below = np.zeros(values.size, dtype=np.int64)
        self._tied: Optional[np.ndarray] = None  # most often no good score is equal to a defective one
        self._grid: Optional[_Grid] = None
        self._searched = False  # for a grid: once, with the first scores
        self._kept = np.empty(SAMPLE, dtype=values.dtype)
        self._n_kept = 0
        self.total = 0
        self.lowest = float("inf")
        self.highest = float("-inf")

    def sift(self, scores: np.ndarray) -> Sifted:
        """Prepare finite scores (n,), of the dtype of the values, for :meth:`add`; any thread may call it."""
        size = int(scores.size)
        if size == 0:
            return Sifted(0, None, scores, float("inf"), float("-inf"))
        lowest, highest = float(scores.min()), float(scores.max())
        grid = self._grid
        if grid is None:
            return Sifted(size, None, scores, lowest, highest)
        cells = grid.cells(scores)
        return Sifted(size, cells, scores[grid.mixed.take(cells)], lowest, highest)

    def add(self, sifted: Sifted) -> None:
        """Count what was sifted; one thread at a time."""
        self.total += sifted.size
        self.lowest, self.highest = min(self.lowest, sifted.lowest), max(self.highest, sifted.highest)
        if sifted.cells is not None:
            assert self._grid is not None
            self._grid.count(sifted.cells)
        self._keep(sifted.unclear)

    def add_scores(self, scores: np.ndarray) -> None:
        """Sift and count any number of scores."""
        for start in range(0, scores.size, BLOCK):
            self.add(self.sift(scores[start : start + BLOCK]))

    def below(self) -> np.ndarray:
        """Return (k,) int64: good scores less than each value. Do not change it."""
        self._settle()
        return self._below

    def tied(self) -> Optional[np.ndarray]:
        """Return (k,) int64: good scores equal to each value; None where all are 0. Do not change it."""
        self._settle()
        return self._tied

    def _keep(self, scores: np.ndarray) -> None:
        import numpy as np

        start = 0
        while start < scores.size:
            part = scores[start : start + self._kept.size - self._n_kept]
            self._kept[self._n_kept : self._n_kept + part.size] = part
            self._n_kept += part.size
            start += part.size
            if self._n_kept == self._kept.size:
                if not self._searched:
                    self._searched = True
                    self._grid = _Grid.over(self._values, self._kept)
                    # Each sorting costs a search for all values: worth as many good ones.
                    self._sort_kept()
                    self._kept = np.empty(min(KEPT, max(SAMPLE, self._values.size)), dtype=self._values.dtype)
                else:
                    self._sort_kept()

    def _sort_kept(self) -> None:
        import numpy as np

        if self._n_kept == 0:
            return
        good = self._kept[: self._n_kept]
        good.sort()
        for start in range(0, self._values.size, BLOCK):
            values = self._values[start : start + BLOCK]
            left = np.searchsorted(good, values, side="left")
            self._below[start : start + BLOCK] += left
            tied = np.flatnonzero(good[np.minimum(left, good.size - 1)] == values)
            tied = tied[left[tied] < good.size]
            if tied.size:
                if self._tied is None:
                    self._tied = np.zeros(self._values.size, dtype=np.int64)
                self._tied[start + tied] += np.searchsorted(good, values[tied], side="right") - left[tied]
        self._n_kept = 0

    def _settle(self) -> None:
        self._sort_kept()
        if self._grid is not None:
            self._grid.settle(self._values, self._below)


class _Grid:
    """Cells of equal width. Cell 0 is below them, the last one holds what is above, too."""

    def __init__(self, low: np.floating, scale: np.floating, values: np.ndarray) -> None:
        import numpy as np

        self._low, self._scale = low, scale
        self.mixed = np.zeros(CELLS, dtype=np.bool_)
        for start in range(0, values.size, BLOCK):
            self.mixed[self.cells(values[start : start + BLOCK])] = True
        self._counts = np.zeros(CELLS, dtype=np.int64)
        self._waiting = np.empty(CELLS, dtype=np.intp)
        self._n_waiting = 0

    @classmethod
    def over(cls, values: np.ndarray, sample: np.ndarray) -> Optional[_Grid]:
        """Return a grid where the sample's scores and the values overlap; None where it would not help."""
        import numpy as np

        top = int(0.9999 * (sample.size - 1))
        low = max(float(values[0]), float(sample.min()))
        high = min(float(values[-1]), float(np.partition(sample, top)[top]))
        # Against a range of the whole type's, or one without width, the steps mean nothing.
        kind = values.dtype.type
        with np.errstate(all="ignore"):
            scale = kind(kind(CELLS - 2) / (kind(high) - kind(low))) if high > low else kind(0)
        if not (np.isfinite(scale) and scale > 0):
            return None
        grid = cls(kind(low), scale, values)
        unclear = sum(
            int(grid.mixed.take(grid.cells(sample[start : start + BLOCK])).sum())
            for start in range(0, sample.size, BLOCK)
        )
        return grid if unclear < USELESS * sample.size else None

    def cells(self, scores: np.ndarray) -> np.ndarray:
        """Return (n,) intp; never falls where the score rises, as no step of its arithmetic does."""
        import numpy as np

        with np.errstate(over="ignore"):  # to an infinity of the right sign
            place = scores - self._low
            place *= self._scale
        place += 1
        np.clip(place, 0, CELLS - 1, out=place)
        return place.astype(np.intp)

    def count(self, cells: np.ndarray) -> None:
        """Count scores by their cells; in bulk, as each count of cells goes over all of them."""
        start = 0
        while start < cells.size:
            part = cells[start : start + self._waiting.size - self._n_waiting]
            self._waiting[self._n_waiting : self._n_waiting + part.size] = part
            self._n_waiting += part.size
            start += part.size
            if self._n_waiting == self._waiting.size:
                self._count_waiting()

    def settle(self, values: np.ndarray, below: np.ndarray) -> None:
        """Add to ``below`` what was counted since the last time; what shares a cell with a value is sorted instead."""
        import numpy as np

        self._count_waiting()
        self._counts[self.mixed] = 0
        before = np.cumsum(self._counts)
        for start in range(0, values.size, BLOCK):
            below[start : start + BLOCK] += before.take(self.cells(values[start : start + BLOCK]))
        self._counts[:] = 0

    def _count_waiting(self) -> None:
        import numpy as np

        if self._n_waiting:
            self._counts += np.bincount(self._waiting[: self._n_waiting], minlength=CELLS)
            self._n_waiting = 0
