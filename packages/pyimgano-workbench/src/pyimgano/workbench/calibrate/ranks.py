"""Thresholds just above one of the sorted held-out scores: they need no law of the scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pyimgano.core.conformal import conformal_rank, images_needed, just_above, quantile_rank, sorted_scores
from pyimgano.core.errors import CalibrationError
from pyimgano.core.parameters import require
from pyimgano.workbench.calibrate.interval import OverkillInterval, order_statistic_interval

if TYPE_CHECKING:
    import numpy as np

__all__ = ["HeldOutQuantile", "SplitConformal", "TargetOverkill"]

# A probability that is met exactly, such as 0.5 by 1 − 0.5, shall count as met.
ROUNDING = 1e-12


class _ByRank(ABC):
    """A threshold just above the k-th smallest score, k from n and alpha alone."""

    @abstractmethod
    def rank(self, n: int, alpha: float) -> int:
        """Return k."""

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Return the next number above the score of that rank."""
        values = sorted_scores(scores, alpha)
        return just_above(values, self.rank(values.size, alpha))

    def overkill_interval(self, scores: np.ndarray, alpha: float, threshold: float) -> OverkillInterval:
        """See :func:`~pyimgano.workbench.calibrate.interval.order_statistic_interval`."""
        values = sorted_scores(scores, alpha)
        return order_statistic_interval(values, self.rank(values.size, alpha))


class SplitConformal(_ByRank):
    """Split conformal calibration: the overkill of new good images is at most ``alpha``, whatever the scores' law.

    See :func:`pyimgano.core.conformal.split_conformal`. The bound holds on average over the choice of the held-out
    images; what to expect of these ones is the card's interval.
    """

    def images_needed(self, alpha: float) -> int:
        """Return ⌈1/alpha⌉ − 1."""
        return images_needed(alpha)

    def rank(self, n: int, alpha: float) -> int:
        """Return ⌈(n + 1)(1 − alpha)⌉."""
        return conformal_rank(n, alpha)

    def guarantee(self, alpha: float, n: int) -> str:
        """Return the bound, and what it rests on."""
        return (
            f"A new good image is rejected with probability at most {alpha:g}, provided that it is exchangeable with "
            f"the n = {n} held-out good images (same product, camera and light)."
        )


class HeldOutQuantile(_ByRank):
    """The (1 − alpha) quantile of the held-out scores: see :func:`pyimgano.core.conformal.held_out_quantile`."""

    def images_needed(self, alpha: float) -> int:
        """Return 1: there is always a quantile."""
        return 1

    def rank(self, n: int, alpha: float) -> int:
        """Return ⌈n(1 − alpha)⌉."""
        return quantile_rank(n, alpha)

    def guarantee(self, alpha: float, n: int) -> str:
        """Say that there is none for new images."""
        return (
            f"At most {alpha:g} of the n = {n} held-out good images themselves are rejected; nothing is guaranteed for "
            "new ones."
        )


class TargetOverkill(_ByRank):
    """The lowest threshold of which one can be sure, to a given confidence, that its overkill is at most ``alpha``.

    As many held-out images are rejected as keep the one-sided Clopper–Pearson upper bound of the overkill at or below
    ``alpha``. Split conformal calibration keeps ``alpha`` on average over the choice of the held-out images; this one
    keeps it for these, except with probability 1 − ``confidence``.

    Parameters
    ----------
    confidence : float
        In (0, 1). 0.95 needs 59 held-out images for alpha = 0.05, and 299 for 0.01.

    References
    ----------
    S. S. Wilks, *Determination of sample sizes for setting tolerance limits*, 1941; V. Vovk, *Conditional validity of
    inductive conformal predictors*, 2012.
    """

    def __init__(self, *, confidence: float = 0.95) -> None:
        require(0.0 < confidence < 1.0, "confidence", confidence, "a number between 0 and 1, e.g. 0.95")
        self.confidence = confidence

    def images_needed(self, alpha: float) -> int:
        """Return the smallest n with (1 − alpha)ⁿ ≤ 1 − confidence."""
        slack = 1.0 - self.confidence + ROUNDING
        needed = max(1, math.ceil(math.log(1.0 - self.confidence) / math.log1p(-alpha)))
        while needed > 1 and (1.0 - alpha) ** (needed - 1) <= slack:
            needed -= 1
        return needed

    def rank(self, n: int, alpha: float) -> int:
        """Return n − r, r being the number of held-out images that may be rejected."""
        import numpy as np
        from scipy.stats import binom

        allowed = binom.cdf(np.arange(n), n, alpha) <= 1.0 - self.confidence + ROUNDING
        if not allowed[0]:
            raise CalibrationError(
                f"alpha = {alpha:g} with confidence {self.confidence:g} needs at least {self.images_needed(alpha)} "
                f"held-out good images, there are {n}",
                hint="hold out more good images, raise alpha, or lower calibration.params.confidence",
            )
        return n - (int(allowed.sum()) - 1)

    def guarantee(self, alpha: float, n: int) -> str:
        """Return the bound, its confidence, and what they rest on."""
        return (
            f"With confidence {self.confidence:g}, at most {alpha:g} of all new good images are rejected, provided "
            f"that they and the n = {n} held-out good images are independent draws from the same source (same product, "
            "camera and light)."
        )
