"""Threshold-free metrics, exact, from the scores of defective things and a stream of good ones.

AUROC, AP, F1max and AUPRO change only where a threshold passes the score of something *defective*. So the defective
scores are kept sorted, and good ones only counted against them. Memory: the defective scores and a few tens of MB,
however many good pixels there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Optional

from pyimgano.workbench.evaluate.counting import GoodCounts, sort_in_place

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Ranking", "RegionPixels", "Steps"]

BLOCK = 1 << 14
"""Thresholds that are looked at together, so that what they become on the way stays in the cache."""
_SIGN = 0x80000000


class Steps(NamedTuple):
    """Some of the distinct defective scores, from the highest down, and what is found with each as the threshold.

    Attributes
    ----------
    values : ndarray
        The scores.
    counts, true : ndarray of int
        Defective ones with that score; with at least that score.
    before, false : ndarray of int
        Good ones with more than that score; with at least that score.
    overlap_before, overlap : ndarray or None
        Summed weight of the defective ones likewise.
    """

    values: np.ndarray
    counts: np.ndarray
    true: np.ndarray
    before: np.ndarray
    false: np.ndarray
    overlap_before: Optional[np.ndarray]
    overlap: Optional[np.ndarray]


class Ranking:
    """How the scores of defective things rank among those of good ones.

    Parameters
    ----------
    defective : ndarray, (m,)
        Scores of all defective images (or pixels), m ≥ 1, finite.
    weights : ndarray, (m,), optional
        Weight of each in AUPRO: 1 / size of its region.

    Attributes
    ----------
    n_defective, n_good : int
        How many there are; the latter grows with :meth:`add_good`.
    lowest_good, highest_good : float
        The range of the good scores so far.
    """

    def __init__(self, defective: np.ndarray, weights: Optional[np.ndarray] = None) -> None:
        import numpy as np

        values = _floats(defective)
        if weights is None:
            values = values.copy()
            sort_in_place(values)
            self._take(values, None, None)
        else:
            order = np.argsort(values, kind="stable")
            self._take(values[order], order, np.asarray(weights, dtype=np.float64))

    @classmethod
    def of_regions(cls, pixels: RegionPixels, weights: np.ndarray) -> Ranking:
        """Return a ranking of pixels that share the weights of their regions; less memory than a weight for each.

        Parameters
        ----------
        pixels : RegionPixels
            At least one. Empty afterwards.
        weights : ndarray, (r,)
            Weight of a region's pixels: 1 / its size.
        """
        import numpy as np

        ranking = cls.__new__(cls)
        ranking._take(*pixels.take_sorted(), np.asarray(weights, dtype=np.float64))
        return ranking

    def _take(self, values: np.ndarray, places: Optional[np.ndarray], weights: Optional[np.ndarray]) -> None:
        """Keep sorted scores; the weight of each is the one at its place."""
        import numpy as np

        self.n_defective = int(values.size)
        new = np.empty(values.size, dtype=np.bool_)
        new[0] = True
        np.not_equal(values[1:], values[:-1], out=new[1:])
        first = np.flatnonzero(new)
        del new
        self._values = values if first.size == values.size else values[first]
        self._counts = np.empty(first.size, dtype=np.int32)
        self._weights = None if weights is None else np.empty(first.size)
        for start in range(0, first.size, BLOCK):
            part = first[start : start + BLOCK]
            stop = int(first[start + BLOCK]) if start + BLOCK < first.size else values.size
            self._counts[start : start + BLOCK] = np.diff(np.append(part, stop))
            if self._weights is not None and weights is not None and places is not None:
                each = weights.take(places[part[0] : stop])
                self._weights[start : start + BLOCK] = np.add.reduceat(each, part - part[0])
        self._good = GoodCounts(self._values)

    @property
    def n_good(self) -> int:
        """Number of good scores so far."""
        return self._good.total

    @property
    def lowest_good(self) -> float:
        """Lowest good score so far."""
        return self._good.lowest

    @property
    def highest_good(self) -> float:
        """Highest good score so far."""
        return self._good.highest

    @property
    def dtype(self) -> np.dtype:
        """Type of the scores: float32 or float64."""
        return self._values.dtype

    @property
    def size(self) -> int:
        """Number of distinct defective scores."""
        return int(self._values.size)

    def add_good(self, scores: np.ndarray) -> None:
        """Count a chunk of good scores, (n,) of the same dtype as the defective ones, finite. Any thread may."""
        self._good.add(_floats(scores).astype(self._values.dtype, copy=False))

    def tallies(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return four arrays (k,), one row per distinct defective score in ascending order. Do not change them.

        Returns
        -------
        values : ndarray
            The scores.
        counts : ndarray of int
            How many defective ones have it.
        below, up_to : ndarray of int
            How many good ones score less than it, and at most it.
        """
        import numpy as np

        below, tied = self._good.below(), self._good.tied()
        below = below.astype(np.int64)
        up_to = below if tied is None else below + tied
        return self._values, self._counts.astype(np.int64), below, up_to

    def steps(self) -> Iterator[Steps]:
        """Yield all distinct defective scores, from the highest down, some at a time."""
        import numpy as np

        below, tied = self._good.below(), self._good.tied()
        true, overlap = 0, 0.0
        for stop in range(self.size, 0, -BLOCK):
            part = slice(max(0, stop - BLOCK), stop)
            counts = self._counts[part][::-1]
            found = true + np.cumsum(counts, dtype=np.int64)
            false = self.n_good - below[part][::-1]
            before = false if tied is None else false - tied[part][::-1]
            heights: Optional[np.ndarray] = None
            if self._weights is not None:
                heights = np.cumsum(np.append(overlap, self._weights[part][::-1]))
            lower = None if heights is None else heights[:-1]
            upper = None if heights is None else heights[1:]
            yield Steps(self._values[part][::-1], counts, found, before, false, lower, upper)
            true = int(found[-1])
            overlap = overlap if heights is None else float(heights[-1])

    def auroc(self) -> float:
        """Return the area under the ROC curve: P(defective > good) + P(defective = good) / 2."""
        import numpy as np

        lost = 0.0  # twice the pairs in which the good one is higher, or as high: half
        for step in self.steps():
            pairs = np.add(step.before, step.false, dtype=np.float64)
            pairs *= step.counts
            lost += float(pairs.sum())  # not by BLAS, whose threads cost more than they save
        return 1.0 - lost / 2.0 / (float(self.n_defective) * float(self.n_good))

    def average_precision(self) -> float:
        """Return Σ (recall step) · precision over the distinct thresholds (no interpolation)."""
        import numpy as np

        total = 0.0
        for step in self.steps():
            total += float(np.sum(step.counts * (step.true / (step.true + step.false))))
        return total / self.n_defective

    def f1_max(self) -> tuple[float, float]:
        """Return the largest F1 of all thresholds, and the highest threshold that reaches it (defective is ≥)."""
        import numpy as np

        largest, threshold = -1.0, 0.0
        for step in self.steps():
            f1 = 2.0 * step.true / (step.true + step.false + self.n_defective)
            best = int(np.argmax(f1))  # the first, which is the highest threshold
            if f1[best] > largest:
                largest, threshold = float(f1[best]), float(step.values[best])
        return largest, threshold

    def aupro(self, limit: float, n_regions: int) -> float:
        """Return the area under the per-region-overlap curve up to a false-positive rate, divided by that rate.

        The definition of MVTec's evaluation code (P. Bergmann et al., *The MVTec Anomaly Detection Dataset*, IJCV
        2021): the overlap is the mean over regions of the share of pixels found, the false-positive rate is over all
        pixels outside of regions in all images, and the curve is interpolated linearly at the limit.

        Parameters
        ----------
        limit : float
            In (0, 1], usually 0.3.
        n_regions : int
            Number of defect regions; each one's weights sum to 1.
        """
        import numpy as np

        if self._weights is None:
            raise ValueError("the overlap with regions needs the weights of the pixels")
        area, rate, height = 0.0, 0.0, 0.0
        for step in self.steps():
            assert step.overlap is not None
            assert step.overlap_before is not None
            # While the threshold falls between two defective scores only the rate grows; at a defective score both
            # grow, and where good pixels have the same score they grow together.
            rates = np.append(rate, np.stack([step.before, step.false], axis=1).ravel() / self.n_good)
            heights = np.append(height, np.stack([step.overlap_before, step.overlap], axis=1).ravel() / n_regions)
            area += _area(rates, heights, limit)
            rate, height = float(rates[-1]), float(heights[-1])
            if rate >= limit:
                break
        area += _area(np.array([rate, 1.0]), np.array([height, 1.0]), limit)
        return area / limit


def _area(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """Return the area under a piecewise linear curve (x ascending) left of a limit."""
    import numpy as np

    inside = x[:-1] < limit
    left, low = x[:-1][inside], y[:-1][inside]
    full, high = x[1:][inside], y[1:][inside]
    right = np.minimum(full, limit)
    width = np.where(full > left, full - left, 1.0)
    end = low + (high - low) * (right - left) / width
    return float(np.sum(0.5 * (low + end) * (right - left)))


def _floats(scores: np.ndarray) -> np.ndarray:
    """Return them flat, in float32 or float64, whichever holds them exactly."""
    import numpy as np

    values = np.asarray(scores).ravel()
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype == np.float16 else np.float64)


class RegionPixels:
    """Collects the scores of defective pixels, each with the number of its region, to be sorted together.

    A float32 score and its region are one 64-bit integer whose order is that of the scores: sorted in place, half the
    memory of sorting their positions.
    """

    def __init__(self) -> None:
        import numpy as np

        self._packed = np.empty(0, dtype=np.uint64)
        self._wide: list[tuple[np.ndarray, np.ndarray]] = []  # float64: two numbers each
        self.size = 0

    @property
    def dtype(self) -> Optional[np.dtype]:
        """Type of the scores so far; None where there are none."""
        import numpy as np

        return np.dtype(np.float64 if self._wide else np.float32) if self.size else None

    def add(self, scores: np.ndarray, regions: np.ndarray) -> None:
        """Add (m,) scores, float32 or float64 as the first ones were, and (m,) numbers of regions."""
        import numpy as np

        stop = self.size + int(scores.size)
        if scores.dtype == np.float64:
            self._wide.append((scores, regions))
        else:
            if stop > self._packed.size:  # grows in place where the system can
                self._packed.resize(max(stop, self._packed.size * 5 // 4), refcheck=False)
            bits = (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0
            keys = np.where(bits & _SIGN, ~bits, bits | _SIGN)  # in the order of the floats
            self._packed[self.size : stop] = keys.astype(np.uint64) << np.uint64(32) | regions.astype(np.uint64)
        self.size = stop

    def take_sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores, ascending, and beside them their regions; forget both."""
        import numpy as np

        if self._wide:
            values = np.concatenate([scores for scores, _ in self._wide])
            beside = np.concatenate([regions for _, regions in self._wide])
            self._wide.clear()
            order = np.argsort(values, kind="stable")
            return values[order], beside[order]
        packed = self._packed[: self.size]
        self._packed = np.empty(0, dtype=np.uint64)
        sort_in_place(packed)
        ordered = np.empty(packed.size, dtype=np.float32)
        places = np.empty(packed.size, dtype=np.int32)
        for start in range(0, packed.size, BLOCK):
            block = packed[start : start + BLOCK]
            keys = (block >> np.uint64(32)).astype(np.uint32)
            ordered[start : start + BLOCK] = np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float32)
            places[start : start + BLOCK] = (block & np.uint64(0xFFFFFFFF)).astype(np.int32)
        return ordered, places
