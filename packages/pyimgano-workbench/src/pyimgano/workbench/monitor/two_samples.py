"""Whether two samples are from one distribution, and how far apart they are.

References
----------
J. L. Hodges, *The significance probability of the Smirnov two-sample test*, Arkiv för Matematik 3, 1958 (lattice
paths);
B. Yurdakul, *Statistical properties of population stability index*, 2018 (the index and its usual limits).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["binomial_p_value", "ks_two_sample", "stability_index"]

BINS = 10
"""Of the stability index, where the reference has at least five values for each."""


def ks_two_sample(reference: Sequence[float], window: Sequence[float]) -> tuple[float, float]:
    """Return the two-sample Kolmogorov–Smirnov statistic and its exact p-value.

    Parameters
    ----------
    reference, window : sequence of float
        Finite, not empty; in any order.

    Returns
    -------
    distance : float
        The greatest difference between the two empirical distribution functions, in [0, 1].
    p_value : float
        Probability of a distance at least as great where all values come independently from one distribution. Exact
        for a continuous one, to about 1e-10; where values are equal it is too large, so that a test of level α rejects
        with probability at most α for any distribution.

    Notes
    -----
    The values of both samples, in their order, are a path on a lattice from (0, 0) to (n, m), and under the hypothesis
    all paths are equally likely. Counted are those that keep below the distance everywhere (Hodges 1958), row by row in
    floating point with a common scale. That takes n cumulative sums of m numbers, and no table or limit theorem.
    """
    import numpy as np

    first, second = np.sort(np.asarray(reference, np.float64)), np.sort(np.asarray(window, np.float64))
    n, m = len(first), len(second)
    values = np.concatenate([first, second])
    below_first = np.searchsorted(first, values, side="right")
    below_second = np.searchsorted(second, values, side="right")
    # In units of 1 / (n m), in which it is a whole number: no rounding decides about a tie.
    units = int(np.abs(below_first * m - below_second * n).max())
    if units == 0:
        return 0.0, 1.0
    return units / (n * m), max(0.0, 1.0 - _share_within(n, m, units))


def _share_within(n: int, m: int, units: int) -> float:
    """Return the share of lattice paths from (0, 0) to (n, m) on which abs(i m − j n) < ``units`` everywhere."""
    import numpy as np

    row = np.zeros(m + 1)
    scale = 0.0
    for i in range(n + 1):
        low = max(0, (i * m - units) // n + 1)
        high = min(m, -((-(i * m + units)) // n) - 1)
        if low > high:
            return 0.0
        if i == 0:
            row[low : high + 1] = 1.0
        else:
            row[low : high + 1] = np.cumsum(row[low : high + 1])
            row[:low] = 0.0
        row[high + 1 :] = 0.0
        largest = float(row[low : high + 1].max())
        if largest == 0.0:
            return 0.0
        row /= largest
        scale += math.log(largest)
    if row[m] <= 0.0:
        return 0.0
    paths = math.lgamma(n + m + 1) - math.lgamma(n + 1) - math.lgamma(m + 1)
    return min(1.0, math.exp(math.log(row[m]) + scale - paths))


def stability_index(reference: Sequence[float], window: Sequence[float]) -> float:
    """Return the population stability index (PSI): how different two samples are, whatever their sizes.

    Σ (q − p) ln(q / p) over the bins, p the reference's share and q the window's. The bins hold equal shares of the
    reference: 10 of them, or one for each five values where it is small. Half a value is added to each bin, so that an
    empty one does not make it infinite. Commonly, below 0.1 is little and from 0.25 on is much; two samples of one
    distribution differ by about (bins − 1) (1 / n + 1 / m) on average.

    Parameters
    ----------
    reference, window : sequence of float
        Finite, not empty.

    Returns
    -------
    float
        ≥ 0.
    """
    import numpy as np

    first, second = np.asarray(reference, np.float64), np.asarray(window, np.float64)
    bins = max(2, min(BINS, len(first) // 5))
    edges = np.unique(np.quantile(first, np.arange(1, bins) / bins, method="lower"))
    # A value that equals an edge lies below it; below the lowest, a bin of its own for what the reference never showed
    # where all its values are that one.
    if first.min() == edges[0]:
        edges = np.concatenate([[np.nextafter(edges[0], -np.inf)], edges])
    p, q = _shares(first, edges), _shares(second, edges)
    return float(((q - p) * np.log(q / p)).sum())


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    import numpy as np

    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    shares: np.ndarray = (counts + 0.5) / (len(values) + 0.5 * len(counts))
    return shares


def binomial_p_value(count: int, n: int, share: float) -> float:
    """Return the exact two-sided p-value of ``count`` of ``n`` where ``share``, in (0, 1), is expected.

    Twice the smaller tail, so that it rejects exactly when the Clopper–Pearson interval of that confidence excludes
    ``share``.
    """
    from scipy.special import betainc

    at_least = 1.0 if count == 0 else float(betainc(count, n - count + 1, share))
    at_most = 1.0 if count == n else float(betainc(n - count, count + 1, 1.0 - share))
    return min(1.0, 2.0 * min(at_least, at_most))
