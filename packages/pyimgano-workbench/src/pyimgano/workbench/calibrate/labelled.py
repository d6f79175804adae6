"""Thresholds that labelled defective images help to find. Those are never test images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Optional

from pyimgano.core.conformal import sorted_scores
from pyimgano.core.errors import CalibrationError
from pyimgano.core.parameters import require
from pyimgano.workbench.calibrate.interval import CONFIDENCE, OverkillInterval
from pyimgano.workbench.calibrate.ranks import ROUNDING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CostRatio", "TargetRecall"]


class _WithDefects:
    """A threshold that good images alone do not give."""

    uses_alpha = False

    def images_needed(self, alpha: float) -> int:
        """Return 1: the defective images are what counts."""
        return 1

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Refuse: there is none without defective images."""
        raise CalibrationError(
            f"{type(self).__name__} needs the scores of labelled defective images",
            hint="set calibration.defects to train or validation, where the dataset has defective images",
        )

    def guarantee(self, alpha: float, n: int) -> str:
        """Say that there is none without defective images."""
        return "None without labelled defective images."


class TargetRecall(_WithDefects):
    """The highest threshold that still finds a given share of the defects.

    As many of the labelled defective images may pass as keep the one-sided Clopper–Pearson upper bound of the escape at
    or below 1 − ``recall``. What this costs in overkill, the card's interval says: the held-out good images had no say
    in the threshold. ``alpha`` does not count.

    Parameters
    ----------
    recall : float
        Share of the defects to find, in (0, 1).
    confidence : float, optional
        In (0, 1). 0.95 needs 59 defective images for a recall of 0.95. Null takes the share of the labelled images
        themselves, any number of them, and guarantees nothing.
    """

    def __init__(self, *, recall: float = 0.95, confidence: Optional[float] = 0.95) -> None:
        require(0.0 < recall < 1.0, "recall", recall, "a number between 0 and 1, e.g. 0.95")
        require(
            confidence is None or 0.0 < confidence < 1.0, "confidence", confidence, "a number between 0 and 1, or null"
        )
        self.recall = recall
        self.confidence = confidence

    def defects_needed(self, alpha: float) -> int:
        """Return the smallest number of defective images with recallⁿ ≤ 1 − confidence."""
        if self.confidence is None:
            return 1
        slack = 1.0 - self.confidence + ROUNDING
        needed = max(1, math.ceil(math.log(1.0 - self.confidence) / math.log(self.recall)))
        while needed > 1 and self.recall ** (needed - 1) <= slack:
            needed -= 1
        return needed

    def threshold_with_defects(self, scores: np.ndarray, defect_scores: np.ndarray, alpha: float) -> float:
        """Return the score of the first defective image that must not pass.

        Raises
        ------
        CalibrationError
            When there are too few defective images.
        """
        import numpy as np
        from scipy.stats import binom

        values = sorted_scores(defect_scores, alpha)
        m = int(values.size)
        if m < self.defects_needed(alpha):
            raise CalibrationError(
                f"a recall of {self.recall:g} with confidence {self.confidence:g} needs at least "
                f"{self.defects_needed(alpha)} labelled defective images, there are {m}"
            )
        if self.confidence is None:
            passed = min(m - 1, math.floor(m * (1.0 - self.recall) + 1e-9))
        else:
            allowed = binom.cdf(np.arange(m), m, 1.0 - self.recall) <= 1.0 - self.confidence + ROUNDING
            passed = int(allowed.sum()) - 1
        return float(values[passed])

    def overkill_interval(self, scores: np.ndarray, alpha: float, threshold: float) -> OverkillInterval:
        """Return the Clopper–Pearson interval: the held-out good images are new to a threshold from defects."""
        from pyimgano.workbench.evaluate import clopper_pearson

        rejected = int((scores >= threshold).sum())
        bounds = clopper_pearson(rejected, len(scores), confidence=CONFIDENCE)
        return OverkillInterval(bounds, CONFIDENCE, "clopper-pearson")

    def guarantee_with_defects(self, alpha: float, n: int, n_defects: int) -> str:
        """Return the bound on the escape, and what it rests on."""
        if self.confidence is None:
            return (
                f"A share {self.recall:g} of the {n_defects} labelled defective images themselves is rejected; nothing "
                "is guaranteed for new ones, nor for good images."
            )
        return (
            f"With confidence {self.confidence:g}, at least {self.recall:g} of all new defective images are rejected, "
            f"provided that they and the {n_defects} labelled ones are independent draws from the same source; a new "
            "kind of defect is not. Nothing is guaranteed for good images: see the interval."
        )


class CostRatio(_WithDefects):
    """The threshold at which the labelled images would have cost least.

    The cost of a threshold is ``escape_cost`` · ``defect_rate`` · escape + (1 − ``defect_rate``) · overkill, in units
    of one false reject. It is the same between two neighbouring scores; the threshold lies in their middle. Of equal
    costs the one with the fewest false rejects counts. ``alpha`` does not count.

    Parameters
    ----------
    escape_cost : float
        What a passed defective image costs, as a multiple of a rejected good one.
    defect_rate : float
        Share of defective images on the line, in (0, 1); that of the dataset is hardly ever the same.
    """

    def __init__(self, *, escape_cost: float, defect_rate: float) -> None:
        require(math.isfinite(escape_cost) and escape_cost > 0, "escape_cost", escape_cost, "a number above 0")
        require(0.0 < defect_rate < 1.0, "defect_rate", defect_rate, "a share between 0 and 1, e.g. 0.01")
        self.escape_cost = escape_cost
        self.defect_rate = defect_rate

    def defects_needed(self, alpha: float) -> int:
        """Return 1."""
        return 1

    def threshold_with_defects(self, scores: np.ndarray, defect_scores: np.ndarray, alpha: float) -> float:
        """Return the cheapest threshold for these images."""
        import numpy as np

        good, defective = sorted_scores(scores, alpha), sorted_scores(defect_scores, alpha)
        steps = np.unique(np.concatenate([good, defective]))
        # Reject all, cut between two neighbours, reject none.
        middles = steps[:-1] / 2.0 + steps[1:] / 2.0
        middles = np.where(middles > steps[:-1], middles, steps[1:])
        cuts = np.concatenate([steps[:1], middles, [np.nextafter(steps[-1], np.inf)]])
        overkill = 1.0 - np.searchsorted(good, cuts, side="left") / good.size
        escape = np.searchsorted(defective, cuts, side="left") / defective.size
        cost = self.escape_cost * self.defect_rate * escape + (1.0 - self.defect_rate) * overkill
        return float(cuts[np.flatnonzero(cost <= cost.min() * (1.0 + 1e-12))[-1]])

    def overkill_interval(self, scores: np.ndarray, alpha: float, threshold: float) -> OverkillInterval:
        """Return none: the same good images chose the threshold."""
        return OverkillInterval.unknown("the held-out good images took part in the choice of the threshold")

    def guarantee_with_defects(self, alpha: float, n: int, n_defects: int) -> str:
        """Say that it is the best for these images only."""
        return (
            f"None: of all thresholds this one costs least on n = {n} held-out good and {n_defects} labelled defective "
            f"images, where an escape costs {self.escape_cost:g} false rejects and {self.defect_rate:g} of the parts "
            "are defective."
        )
