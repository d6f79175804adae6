"""Pixel metrics from a histogram, in one pass and constant memory, each with the error that it may have.

A histogram knows every count at its edges exactly, and nothing of the order within a bin. Each metric has a smallest
and a largest value over all orders that are possible; the exact one lies between.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BINS", "Histogram"]

BINS = 1 << 17
"""Of the histogram. The scores fill more than a quarter of them, unless there are fewer distinct ones."""
ROUNDING = 1e-9
"""Added to every error, for the last digits of sums of many numbers."""

_LARGEST = sys.float_info.max


class Histogram:
    """Good and defective scores, counted in bins whose width is a power of two that grows with the range.

    Attributes
    ----------
    n_good, n_defective : int
        How many so far.
    """

    def __init__(self) -> None:
        import numpy as np

        self._exponent: Optional[int] = None
        self._base = 0  # number of the first bin: bin i holds i · width ≤ score < (i + 1) · width
        self._good = np.zeros(BINS, dtype=np.int64)
        self._defective = np.zeros(BINS, dtype=np.int64)
        self._weights = np.zeros(BINS, dtype=np.float64)
        self.n_good = 0
        self.n_defective = 0

    @property
    def width(self) -> float:
        """Width of a bin; 0.0 before the first score."""
        return 0.0 if self._exponent is None else 2.0**self._exponent

    def add(self, good: np.ndarray, defective: np.ndarray, weights: np.ndarray) -> None:
        """Count an image's scores, finite, and the weights of the defective ones in the overlap with regions."""
        import numpy as np

        present = [values for values in (good, defective) if values.size]
        if not present:
            return
        self._cover(min(float(v.min()) for v in present), max(float(v.max()) for v in present))
        if good.size:
            self._good += np.bincount(self._bins(good), minlength=BINS)
            self.n_good += int(good.size)
        if defective.size:
            bins = self._bins(defective)
            self._defective += np.bincount(bins, minlength=BINS)
            self._weights += np.bincount(bins, weights=weights, minlength=BINS)
            self.n_defective += int(defective.size)

    def auroc(self) -> tuple[float, float]:
        """Return the AUROC and its error: half of the pairs that share a bin."""
        import numpy as np

        good, defective = self._good.astype(np.float64), self._defective.astype(np.float64)
        lower = np.cumsum(good) - good
        pairs = float(self.n_good) * float(self.n_defective)
        shared = float(np.dot(good, defective)) / pairs
        return float(np.dot(defective, lower)) / pairs + shared / 2.0, shared / 2.0 + ROUNDING

    def average_precision(self) -> tuple[float, float]:
        """Return the AP and its error."""
        import numpy as np

        _, counts, true, before, false = self._downwards()
        above = true - counts
        # Most: all at once, before the bin's good ones. Least: one after the other, after them; precision is concave in
        # the number found, so that the mean of the first and the last one's is not more than the mean of all.
        most = true / (true + before)
        least = 0.5 * ((above + 1) / (above + 1 + false) + true / (true + false))
        high = float(np.dot(counts, most)) / self.n_defective
        low = float(np.dot(counts, least)) / self.n_defective
        return (high + low) / 2.0, (high - low) / 2.0 + ROUNDING

    def f1_max(self) -> tuple[float, float, float]:
        """Return F1 at the best edge of a bin, by how much the largest one may be above it, and that edge."""
        import numpy as np

        edges, _, true, before, false = self._downwards()
        reached = 2.0 * true / (true + false + self.n_defective)
        best = int(np.argmax(reached))
        largest = float(np.max(2.0 * true / (true + before + self.n_defective)))
        return float(reached[best]), largest - float(reached[best]) + ROUNDING, float(edges[best])

    def aupro(self, limit: float, n_regions: int) -> tuple[float, float]:
        """Return AUPRO up to a false-positive rate, divided by it, and its error.

        Parameters
        ----------
        limit : float
            In (0, 1].
        n_regions : int
            Number of defect regions; each one's weights sum to 1.
        """
        import numpy as np

        rates = np.concatenate(([0.0], np.cumsum(self._good[::-1]) / self.n_good, [1.0]))
        heights = np.concatenate(([0.0], np.minimum(np.cumsum(self._weights[::-1]) / n_regions, 1.0), [1.0]))
        widths = np.minimum(rates[1:], limit) - np.minimum(rates[:-1], limit)
        low, high = float(np.dot(widths, heights[:-1])), float(np.dot(widths, heights[1:]))
        return (low + high) / 2.0 / limit, (high - low) / 2.0 / limit + ROUNDING

    def points(self, n_regions: int) -> dict[str, np.ndarray]:
        """Return the curves ``roc``, ``pr`` and ``pro`` as (n, 3): x, y and threshold, at the edges of bins: exact."""
        import numpy as np

        some = np.flatnonzero((self._good + self._defective)[::-1])
        edges = np.clip((self._base + np.arange(BINS - 1, -1, -1, dtype=np.float64)) * self.width, -_LARGEST, _LARGEST)
        true, false = np.cumsum(self._defective[::-1]), np.cumsum(self._good[::-1])
        fpr, recall = (false / self.n_good)[some], (true / self.n_defective)[some]
        overlap = np.minimum(np.cumsum(self._weights[::-1]) / n_regions, 1.0)[some]
        top = [0.0, 0.0, min(float(edges[some[0]]) + self.width, _LARGEST)]
        found = some[true[some] > 0]
        pr = np.column_stack([true[found] / self.n_defective, true[found] / (true + false)[found], edges[found]])
        return {
            "roc": np.concatenate([[top], np.column_stack([fpr, recall, edges[some]])]),
            "pr": pr,
            "pro": np.concatenate([[top], np.column_stack([fpr, overlap, edges[some]])]),
        }

    def _downwards(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return lower edge, defective ones, those found at it, and good ones above and from it, of bins with any."""
        import numpy as np

        rows = np.flatnonzero(self._defective)[::-1]
        false = np.cumsum(self._good[::-1])[::-1][rows]
        true = np.cumsum(self._defective[::-1])[::-1][rows]
        edges = (self._base + rows) * self.width
        return edges, self._defective[rows], true, false - self._good[rows], false

    def _bins(self, values: np.ndarray) -> np.ndarray:
        import numpy as np

        return self._numbers(np.asarray(values, dtype=np.float64)) - self._base

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        import numpy as np

        assert self._exponent is not None
        return np.floor(np.ldexp(values, -self._exponent)).astype(np.int64)  # a power of two rounds nothing

    def _cover(self, low: float, high: float) -> None:
        """Make the histogram hold a range: move it, and make bins wider where it is too long."""
        import numpy as np

        held = np.flatnonzero(self._good + self._defective)
        if held.size:
            low = min(low, float(self._base + held[0]) * self.width)
            high = max(high, float(self._base + held[-1]) * self.width)
        # So wide that the range fills more than a quarter, and that the number of a bin stays an exact integer.
        span = int(np.frexp(min(high - low, float(np.finfo(np.float64).max)) or 1.0)[1])
        size = int(np.frexp(max(abs(low), abs(high)))[1])
        before = self._exponent
        self._exponent = max(span - 17, size - 50, -1000, -1000 if before is None else before)
        while True:
            first, last = (int(number) for number in self._numbers(np.array([low, high])))
            if last - first < BINS:
                break
            self._exponent += 1
        inside = self._base <= first and last < self._base + BINS
        if before is not None and self._exponent == before and inside:
            return
        merged = 0 if before is None else self._exponent - before
        base = first - (BINS - (last - first + 1)) // 2
        bins = ((self._base + held) >> merged) - base
        for table in (self._good, self._defective, self._weights):
            moved = table[held]
            table[:] = 0
            np.add.at(table, bins, moved)
        self._base = base
