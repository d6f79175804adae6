"""DeLong's variance of an AUROC, and of the difference between two on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.inputs import checked_labels, checked_scores
from pyimgano.workbench.evaluate.intervals import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AurocDifference", "delong_difference", "delong_variance", "variance_of_tallies"]

BLOCK = 16_384
"""Distinct scores that are worked on at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class AurocDifference:
    """AUROC of A minus AUROC of B, both on the same images.

    Attributes
    ----------
    auroc_a, auroc_b : float
        The two.
    difference : float
        ``auroc_a - auroc_b``.
    variance : float or None
        DeLong's estimate for the difference. None where there is a single good or a single defective image.
    p : float or None
        Two-sided: how often a difference at least as large would be seen if both were equally good. 1.0 where the two
        rank the images alike. None where the variance says nothing: it is missing, or 0 beside a difference.
    interval : (float, float) or None
        Of the difference, within [−1, 1]. None where the variance is missing or 0.
    confidence : float
        Of the interval.
    n_good, n_defective : int
        Number of images.
    """

    auroc_a: float
    auroc_b: float
    difference: float
    variance: Optional[float]
    p: Optional[float]
    interval: Optional[tuple[float, float]]
    confidence: float
    n_good: int
    n_defective: int


def delong_variance(scores: Any, labels: Any) -> tuple[float, Optional[float]]:
    """Return the AUROC and DeLong's estimate of its variance, in O(n log n).

    Parameters
    ----------
    scores : array-like, (N,)
        Finite.
    labels : array-like, (N,) {0, 1}
        1 is defective; at least one of each.

    Returns
    -------
    auroc : float
    variance : float or None
        None where there is a single good or a single defective image.

    Raises
    ------
    ParameterError
        When scores or labels are not as described.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44, 1988; X. Sun, W. Xu, *Fast implementation of
    DeLong's algorithm*, IEEE Signal Processing Letters 21, 2014.
    """
    (defective, good), _ = _placements([("scores", scores)], labels)
    return float(defective[0].mean()), _variance(defective[0], good[0])


def delong_difference(scores_a: Any, scores_b: Any, labels: Any, *, confidence: float = CONFIDENCE) -> AurocDifference:
    """Compare two AUROCs that were measured on the same images.

    Parameters
    ----------
    scores_a, scores_b : array-like, (N,)
        What A and B say of the same images, in the same order; each on its own scale.
    labels : array-like, (N,) {0, 1}
        1 is defective; at least one of each.
    confidence : float
        Of the interval, in (0, 1).

    Raises
    ------
    ParameterError
        When the lengths differ, a score is not finite, a label is neither 0 nor 1, or there is none of a kind.

    References
    ----------
    DeLong et al. 1988, Sun and Xu 2014: see :func:`delong_variance`.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    if not 0.0 < confidence < 1.0:
        raise ParameterError(f"{confidence!r}", where="confidence", allowed="between 0 and 1, e.g. 0.95")
    (defective, good), flags = _placements([("scores_a", scores_a), ("scores_b", scores_b)], labels)
    auroc_a, auroc_b = float(defective[0].mean()), float(defective[1].mean())
    difference = auroc_a - auroc_b
    steps = defective[0] - defective[1], good[0] - good[1]
    variance = _variance(*steps)
    p: Optional[float] = None
    interval: Optional[tuple[float, float]] = None
    if not any(np.any(step) for step in steps):
        p = 1.0
    elif variance is not None and variance > 0.0:
        spread = math.sqrt(variance)
        p = float(2.0 * ndtr(-abs(difference) / spread))
        reach = float(ndtri(0.5 + confidence / 2.0)) * spread
        interval = (max(difference - reach, -1.0), min(difference + reach, 1.0))
    n_defective = int(flags.sum())
    return AurocDifference(
        auroc_a,
        auroc_b,
        difference,
        variance,
        p,
        interval,
        confidence,
        n_good=int(flags.size) - n_defective,
        n_defective=n_defective,
    )


def variance_of_tallies(
    counts: np.ndarray, below: np.ndarray, up_to: np.ndarray, n_good: int, *, auroc: float
) -> Optional[float]:
    """Return DeLong's variance from a ranking's tallies alone, without the single good scores.

    Parameters
    ----------
    counts : ndarray, (k,) int
        Number of defective images at each distinct defective score, ascending.
    below, up_to : ndarray, (k,) int
        Number of good images that score less than it, and at most it.
    n_good : int
        Number of good images.
    auroc : float
        What the same tallies give.
    """
    import numpy as np

    n_defective = int(counts.sum())
    if n_defective < 2 or n_good < 2:
        return None
    of_defective = of_good = 0.0
    above, before = n_defective, 0  # defective scores from here on; good ones up to the defective score before
    for start in range(0, counts.size, BLOCK):
        many, less, at_most = (part[start : start + BLOCK] for part in (counts, below, up_to))
        # Share of the good ones that a defective score beats; a tie counts half.
        of_defective += float((many * ((less + at_most) / (2.0 * n_good) - auroc) ** 2).sum())
        # Good scores between two defective ones all lose against the same defective ones.
        ends = np.cumsum(many)
        losing = above - ends + many
        between = less.copy()
        between[1:] -= at_most[:-1]
        between[0] -= before
        of_good += float((between * (losing / n_defective - auroc) ** 2).sum())
        of_good += float(((at_most - less) * ((losing - many / 2.0) / n_defective - auroc) ** 2).sum())
        above -= int(ends[-1])
        before = int(at_most[-1])
    of_good += (n_good - before) * auroc**2
    return of_defective / (n_defective - 1) / n_defective + of_good / (n_good - 1) / n_good


def _placements(
    scores: list[tuple[str, Any]], labels: Any
) -> tuple[tuple[list[np.ndarray], list[np.ndarray]], np.ndarray]:
    """Return per set of scores the share of good images that each defective one beats, and the reverse; and labels."""
    import numpy as np

    values = [checked_scores(given, name=name) for name, given in scores]
    flags = checked_labels(labels, values[0].size)
    for (name, _), other in zip(scores, values):
        if other.size != flags.size:
            raise ParameterError(f"{other.size} scores, {flags.size} labels", where=name, allowed="as many as labels")
    if not flags.any() or flags.all():
        kind = "good" if flags.any() else "defective" if flags.size else "good and no defective"
        raise ParameterError(f"no {kind} images", where="labels", allowed="at least one image of each kind")
    defective, good = [], []
    for given in values:
        high, low = given[flags], given[~flags]
        ordered_high, ordered_low = np.sort(high), np.sort(low)
        defective.append(_share(ordered_low, high))
        good.append(1.0 - _share(ordered_high, low))
    return (defective, good), flags


def _share(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    import numpy as np

    less = np.searchsorted(ordered, values, side="left")
    return (less + np.searchsorted(ordered, values, side="right")) / (2.0 * ordered.size)


def _variance(defective: np.ndarray, good: np.ndarray) -> Optional[float]:
    if defective.size < 2 or good.size < 2:
        return None
    return float(defective.var(ddof=1)) / defective.size + float(good.var(ddof=1)) / good.size
