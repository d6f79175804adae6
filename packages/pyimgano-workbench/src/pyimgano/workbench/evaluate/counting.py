"""Counting a stream of good scores against sorted defective ones, without sorting the most of them.

A fine grid of equal steps lies over the scores. A good score in a cell that holds no defective score is counted with
its cell: whatever its value, it is above the same defective scores. Only those that share a cell with a defective
score are kept, and sorted, a few million at a time. The counts are exact for any grid; a grid that fits badly only
costs time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GoodCounts", "sort_in_place"]

FEW, MANY = 1 << 18, 1 << 20
"""Cells of the grid for up to a million values, and for more: 4 MB and 16 MB of counters, to stay in a core's cache."""
BLOCK = 1 << 18
"""Values that are handled at a time, for the memory of what they become on the way."""
CACHED = 1 << 15
"""Scores that are sifted at a time, so that what they become on the way stays in the cache."""
KEPT = 1 << 20
"""Scores to be sorted that are kept at most. From the first ones the grid's range is taken."""
MANY_AT_ONCE = 1 << 21
"""Scores from which on they are sorted and counted by two threads."""
USELESS = 0.7
"""Share of the sample that is not clear from which on a grid only costs time."""

_INT32 = 2**31 - 1


class GoodCounts:
    """How many good scores lie below, and at, each of some sorted scores. Several threads may add at the same time.

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
        self._below: Optional[np.ndarray] = None
        self._new: Optional[np.ndarray] = None  # since then: less than a value, and not than the one before it
        self._tied: Optional[np.ndarray] = None  # most often no good score is equal to a defective one
        self._grid: Optional[_Grid] = None
        self._searched = False  # for a grid: once, with the first scores
        self._kept = np.empty(KEPT, dtype=values.dtype)
        self._n_kept = 0
        self._keeping, self._adding = threading.Lock(), threading.Lock()
        self.total = 0
        self.lowest = float("inf")
        self.highest = float("-inf")

    def add(self, scores: np.ndarray) -> None:
        """Count (n,) finite scores, of the dtype of the values. Nothing else may be asked meanwhile."""
        import numpy as np

        if scores.size == 0:
            return
        if scores.size >= MANY_AT_ONCE:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(self._add, np.array_split(scores, 2)))
        else:
            self._add(scores)

    def _add(self, scores: np.ndarray) -> None:
        lowest, highest = float(scores.min()), float(scores.max())
        with self._keeping:
            self.total += int(scores.size)
            self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        for start in range(0, scores.size, CACHED):
            part = scores[start : start + CACHED]
            grid = self._grid
            self._keep(part if grid is None else grid.count(part))

    def below(self) -> np.ndarray:
        """Return (k,) int: good scores less than each value. Do not change it."""
        self._settle()
        assert self._below is not None
        return self._below

    def tied(self) -> Optional[np.ndarray]:
        """Return (k,) int: good scores equal to each value; None where all are 0. Do not change it."""
        self._settle()
        return self._tied

    def _keep(self, scores: np.ndarray) -> None:
        import numpy as np

        start = 0
        while start < scores.size:
            full: Optional[np.ndarray] = None
            with self._keeping:
                part = scores[start : start + self._kept.size - self._n_kept]
                self._kept[self._n_kept : self._n_kept + part.size] = part
                self._n_kept += part.size
                start += part.size
                if self._n_kept == self._kept.size:
                    full = self._kept
                    if not self._searched:
                        self._searched = True
                        self._grid = _Grid.over(self._values, full)
                    self._kept, self._n_kept = np.empty(KEPT, dtype=self._values.dtype), 0
            if full is not None:
                self._sort(full)

    def _sort(self, good: np.ndarray) -> None:
        """Count scores by sorting them, then looking for the fewer among the more."""
        import numpy as np

        good.sort()
        if good.size < self._values.size:
            self._place(good)
            return
        left = np.searchsorted(good, self._values, side="left")
        tied = np.flatnonzero(good[np.minimum(left, good.size - 1)] == self._values)
        tied = tied[left[tied] < good.size]
        with self._adding:
            # What is less than a value and not less than the one before it.
            new = self._between()
            new += np.diff(left, prepend=0)
            if tied.size:
                self._tie(tied, np.searchsorted(good, self._values[tied], side="right") - left[tied])

    def _place(self, good: np.ndarray) -> None:
        """Find sorted scores among the values, some at a time."""
        import numpy as np

        for start in range(0, good.size, BLOCK):
            part = good[start : start + BLOCK]
            low = int(np.searchsorted(self._values, part[0], side="left"))
            high = int(np.searchsorted(self._values, part[-1], side="right"))
            places = np.searchsorted(self._values[low:high], part, side="right")
            equal = np.flatnonzero(self._values[np.maximum(low + places - 1, 0)] == part)
            with self._adding:
                _count_sorted(self._between(), low, places)
                if equal.size:
                    self._tie(*np.unique(low + places[equal] - 1, return_counts=True))

    def _tie(self, where: np.ndarray, counts: np.ndarray) -> None:

        self._tied = self._counters(self._tied)
        self._tied[where] += counts

    def _between(self) -> np.ndarray:

        self._new = self._counters(self._new)
        return self._new

    def _counters(self, before: Optional[np.ndarray]) -> np.ndarray:
        """Return a counter per value; no wider than what is counted so far needs."""
        import numpy as np

        kind = np.int32 if self.total <= _INT32 else np.int64
        return np.zeros(self._values.size, dtype=kind) if before is None else before.astype(kind, copy=False)

    def _settle(self) -> None:
        import numpy as np

        if self._n_kept:
            self._sort(self._kept[: self._n_kept])
            self._n_kept = 0
        if self._new is not None or self._below is None:
            new = self._between()
            np.cumsum(new, out=new)
            if self._below is None:
                self._below = new
            else:
                self._below = self._counters(self._below)
                self._below += new
            self._new = None
        if self._grid is not None:
            self._below = self._counters(self._below)
            self._grid.settle(self._values, self._below)


class _Slots:
    """A thread's slots that are not counted yet, and the memory that it works in: new memory costs time."""

    def __init__(self, size: int, kind: np.dtype) -> None:
        import numpy as np

        self.slots = np.empty(size, dtype=np.intp)
        self.filled = 0
        self.places = np.empty(CACHED, dtype=kind)
        self.pivots = np.empty(CACHED, dtype=kind)
        self.above = np.empty(CACHED, dtype=np.bool_)
        self.clear = np.empty(CACHED, dtype=np.bool_)


class _Local(threading.local):
    mine: Optional[_Slots] = None


class _Grid:
    """Cells of equal width, each with one number that splits its scores in two: the value in it, where there is one.

    Slot 2c counts what is in cell c and less than the value, slot 2c + 1 what is greater; slot 0 what is not clear.
    """

    def __init__(self, low: np.floating, scale: np.floating, values: np.ndarray) -> None:
        import numpy as np

        self._low, self._scale = low, scale
        self._size = _cells_for(values)
        # NaN splits nothing: cells with several values. Infinity leaves all on one side: cells without a value.
        self._pivots = np.full(self._size, np.inf, dtype=values.dtype)
        last = -1
        for start in range(0, values.size, BLOCK):
            part = values[start : start + BLOCK]
            cells = self._cells(part)
            self._pivots[cells] = part
            again = cells[1:] == cells[:-1]
            self._pivots[cells[1:][again]] = np.nan
            if cells[0] == last:
                self._pivots[last] = np.nan
            last = int(cells[-1])
        self._counts = np.zeros(2 * self._size, dtype=np.int32)
        self._n_counted = 0
        self._local = _Local()
        self._all: list[_Slots] = []  # of every thread
        self._lock = threading.Lock()
        self._settled = True

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
            scale = kind(kind(_cells_for(values) - 3) / (kind(high) - kind(low))) if high > low else kind(0)
        if not (np.isfinite(scale) and scale > 0):
            return None
        grid = cls(kind(low), scale, values)
        room = _Slots(CACHED, values.dtype)
        unclear = 0
        for start in range(0, sample.size, CACHED):
            unclear += grid._sift(sample[start : start + CACHED], room, 0).size
        return grid if unclear < USELESS * sample.size else None

    def count(self, scores: np.ndarray) -> np.ndarray:
        """Count at most ``CACHED`` scores by their slots, and return those that are not clear; any thread may."""
        mine = self._local.mine
        if mine is None:
            mine = self._local.mine = _Slots(max(self._size, CACHED), self._pivots.dtype)
            with self._lock:
                self._all.append(mine)
        if mine.filled + scores.size > mine.slots.size:
            self._count(mine)
        unclear = self._sift(scores, mine, mine.filled)
        mine.filled += int(scores.size)
        return unclear

    def _sift(self, scores: np.ndarray, room: _Slots, start: int) -> np.ndarray:
        """Write the slot of each score, and return the scores that are not clear."""
        import numpy as np

        n = scores.size
        slots = room.slots[start : start + n]
        pivots, above, clear = room.pivots[:n], room.above[:n], room.clear[:n]
        self._cells(scores, places=room.places[:n], out=slots)
        np.take(self._pivots, slots, out=pivots, mode="clip")  # without a check, which would need a copy
        np.greater(scores, pivots, out=above)
        np.less(scores, pivots, out=clear)
        np.logical_or(clear, above, out=clear)
        slots *= 2
        slots += above
        slots *= clear
        return scores[np.logical_not(clear, out=clear)]

    def _count(self, mine: _Slots) -> None:
        import numpy as np

        with self._lock:  # one at a time: NumPy's counting keeps the interpreter's lock anyway
            self._n_counted += mine.filled
            if self._n_counted > _INT32:
                self._counts = self._counts.astype(np.int64, copy=False)
            counts = np.bincount(mine.slots[: mine.filled], minlength=2 * self._size)
            np.add(self._counts, counts, out=self._counts, casting="same_kind")
            self._settled = False
        mine.filled = 0

    def settle(self, values: np.ndarray, below: np.ndarray) -> None:
        """Add to ``below`` what was counted since the last time; what was not clear is sorted instead."""
        import numpy as np

        for mine in self._all:
            if mine.filled:
                self._count(mine)
        self._all.clear()
        self._local = _Local()  # gives the threads' memory back
        if self._settled:
            return
        self._settled = True
        self._counts[0] = 0
        carry = 0
        before = np.empty(self._size, dtype=np.int64)  # what is less than a value in the cell
        for start in range(0, 2 * self._size, 2 * BLOCK):
            sums = carry + np.cumsum(self._counts[start : start + 2 * BLOCK], dtype=np.int64)
            before[start // 2 : start // 2 + BLOCK] = sums[::2]
            carry = int(sums[-1])
        for start in range(0, values.size, BLOCK):
            found = before.take(self._cells(values[start : start + BLOCK]))
            np.add(below[start : start + BLOCK], found, out=below[start : start + BLOCK], casting="same_kind")
        self._counts[:] = 0
        self._n_counted = 0

    def _cells(
        self, scores: np.ndarray, *, places: Optional[np.ndarray] = None, out: Optional[np.ndarray] = None
    ) -> np.ndarray:
        """Return (n,) intp; never falls where the score rises, as no step of its arithmetic does."""
        import numpy as np

        with np.errstate(over="ignore"):  # to an infinity of the right sign
            places = np.subtract(scores, self._low, out=places)
            places *= self._scale
        places += 2  # slot 0 is taken; 1 is below all
        np.clip(places, 1, self._size - 1, out=places)
        if out is None:
            return places.astype(np.intp)
        np.copyto(out, places, casting="unsafe")
        return out


def _count_sorted(counters: np.ndarray, low: int, places: np.ndarray) -> None:
    """Count ascending places from ``low``; what is beyond the last counter is above all values."""
    import numpy as np

    first = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
    counts = np.diff(np.append(first, places.size))
    where = low + places[first]
    if where[-1] == counters.size:
        where, counts = where[:-1], counts[:-1]
    counters[where] += counts


def _cells_for(values: np.ndarray) -> int:
    return FEW if values.size <= 1_000_000 else MANY


def sort_in_place(values: np.ndarray) -> None:
    """Sort many numbers by two threads: each a half, then one merges them (NumPy's stable sort finds the two runs)."""
    if values.size < MANY_AT_ONCE:
        values.sort()
        return
    half = values.size // 2
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda part: part.sort(), (values[:half], values[half:])))
    values.sort(kind="stable")
