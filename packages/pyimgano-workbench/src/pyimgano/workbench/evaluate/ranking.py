"""Threshold-free metrics, exact, from the scores of defective things and a stream of good ones.

AUROC, AP, F1max and AUPRO change only where a threshold passes the score of something *defective*. So the defective
scores are kept sorted, and good ones, in chunks of any size, only counted against them. Memory: the defective scores
and one chunk, however many good pixels there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Ranking"]


class Ranking:
    """How the scores of defective things rank among those of good ones.

    Parameters
    ----------
    defective : ndarray, (m,)
        Scores of all defective images (or pixels), m ≥ 1.
    weights : ndarray, (m,) float, optional
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

        values = np.asarray(defective).ravel()
        order = np.argsort(values, kind="stable")
        values = values[order]
        first = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
        self.n_defective = int(values.size)
        self.n_good = 0
        self._values = values[first]
        self._counts = np.diff(np.append(first, values.size))
        self._weights = None if weights is None else np.add.reduceat(np.asarray(weights)[order], first)
        self._below = np.zeros(first.size, dtype=np.int64)
        self._up_to = np.zeros(first.size, dtype=np.int64)
        self.lowest_good = float("inf")
        self.highest_good = float("-inf")

    def add_good(self, scores: np.ndarray) -> None:
        """Count a chunk of good scores, (n,) of the same dtype as the defective ones."""
        import numpy as np

        chunk = np.sort(np.asarray(scores).ravel())
        self._below += np.searchsorted(chunk, self._values, side="left")
        self._up_to += np.searchsorted(chunk, self._values, side="right")
        self.n_good += int(chunk.size)
        if chunk.size:
            self.lowest_good = min(self.lowest_good, float(chunk[0]))
            self.highest_good = max(self.highest_good, float(chunk[-1]))

    def tallies(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return four arrays (k,), one row per distinct defective score in ascending order.

        Returns
        -------
        values : ndarray
            The scores.
        counts : ndarray of int
            How many defective ones have it.
        below, up_to : ndarray of int
            How many good ones score less than it, and at most it.
        """
        return self._values, self._counts, self._below, self._up_to

    def auroc(self) -> float:
        """Return the area under the ROC curve: P(defective > good) + P(defective = good) / 2."""
        import numpy as np

        wins = float(np.dot(self._counts.astype(np.float64), (self._below + self._up_to).astype(np.float64))) / 2.0
        return wins / (float(self.n_defective) * float(self.n_good))

    def _true_and_false_positives(self) -> tuple[np.ndarray, np.ndarray]:
        """Return, per distinct defective score, how many defective and good ones score at least as high."""
        import numpy as np

        return np.cumsum(self._counts[::-1])[::-1], self.n_good - self._below

    def average_precision(self) -> float:
        """Return Σ (recall step) · precision over the distinct thresholds (no interpolation)."""
        import numpy as np

        true, false = self._true_and_false_positives()
        precision = true / (true + false)
        return float(np.sum(self._counts / self.n_defective * precision))

    def f1_max(self) -> tuple[float, float]:
        """Return the largest F1 of all thresholds, and the highest threshold that reaches it (defective is ≥)."""
        import numpy as np

        true, false = self._true_and_false_positives()
        f1 = 2.0 * true / (true + false + self.n_defective)
        best = int(np.flatnonzero(f1 == f1.max())[-1])
        return float(f1[best]), float(self._values[best])

    def overlaps(self, n_regions: int) -> np.ndarray:
        """Return (k,) the mean overlap with the regions at each distinct defective score, ascending in the score."""
        import numpy as np

        if self._weights is None:
            raise ValueError("the overlap with regions needs the weights of the pixels")
        return np.asarray(np.cumsum(self._weights[::-1])[::-1] / n_regions)

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

        # From the highest threshold down. While it falls between two defective scores only the rate grows; at a
        # defective score both grow, and where good pixels have the same score they grow together.
        overlap = self.overlaps(n_regions)[::-1]
        before = (self.n_good - self._up_to[::-1]) / self.n_good
        after = (self.n_good - self._below[::-1]) / self.n_good
        rates = np.concatenate(([0.0], np.stack([before, after], axis=1).ravel(), [1.0]))
        steps = np.stack([np.concatenate(([0.0], overlap[:-1])), overlap], axis=1).ravel()
        overlaps = np.concatenate(([0.0], steps, [1.0]))
        inside = rates[:-1] < limit
        left, low = rates[:-1][inside], overlaps[:-1][inside]
        full, high = rates[1:][inside], overlaps[1:][inside]
        right = np.minimum(full, limit)
        width = np.where(full > left, full - left, 1.0)
        end = low + (high - low) * (right - left) / width
        return float(np.sum(0.5 * (low + end) * (right - left)) / limit)
