"""Mean and standard deviation: a threshold for scores that are normally distributed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.conformal import sorted_scores
from pyimgano.core.errors import CalibrationError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MeanSigma"]

MAD_TO_SD = 1.4826022185056018  # 1 / Φ⁻¹(3/4)


class MeanSigma:
    """Mean plus k standard deviations of the held-out scores.

    Without ``sigmas``, k is such that a new normally distributed score is rejected with probability ``alpha``: the
    upper prediction bound k = t · √(1 + 1/n), with Student's t at n − 1 degrees of freedom, which is exact at every n.
    With ``robust``, median and 1.4826 · MAD stand for mean and deviation, k is the normal quantile, and ``alpha`` is
    kept for large n only.

    Parameters
    ----------
    sigmas : float, optional
        k itself, e.g. 3; alpha does not count then.
    robust : bool
        Take median and MAD, which a few outliers among the held-out images do not move.

    References
    ----------
    G. J. Hahn, W. Q. Meeker, *Statistical Intervals*, 1991 (prediction bounds); P. J. Rousseeuw, C. Croux,
    *Alternatives to the median absolute deviation*, 1993.
    """

    def __init__(self, *, sigmas: Optional[float] = None, robust: bool = False) -> None:
        require(sigmas is None or (math.isfinite(sigmas) and sigmas > 0), "sigmas", sigmas, "a number above 0, or null")
        self.sigmas = sigmas
        self.robust = robust

    @property
    def uses_alpha(self) -> bool:
        """False where ``sigmas`` is given."""
        return self.sigmas is None

    def images_needed(self, alpha: float) -> int:
        """Return 2, or 3 for median and MAD: fewer have no deviation."""
        return 3 if self.robust else 2

    def details(self, scores: np.ndarray, alpha: float) -> dict[str, Any]:
        """Return ``centre``, ``deviation`` and ``sigmas`` (k).

        Raises
        ------
        CalibrationError
            When there are too few scores, or they do not deviate.
        """
        import numpy as np

        values = sorted_scores(scores, alpha)
        n = values.size
        if n < self.images_needed(alpha):
            raise CalibrationError(
                f"a standard deviation needs at least {self.images_needed(alpha)} held-out images, there are {n}"
            )
        if self.robust:
            centre = float(np.median(values))
            deviation = MAD_TO_SD * float(np.median(np.abs(values - centre)))
        else:
            centre, deviation = float(values.mean()), float(values.std(ddof=1))
        # Equal scores have a mean that rounding may move away from them, and then a deviation of 1e-17.
        if values[0] == values[-1] or deviation <= 0.0 or not math.isfinite(deviation):
            what = "half of them or more" if values[0] != values[-1] else "all of them"
            raise CalibrationError(
                f"the n = {n} held-out scores have no usable deviation: {what} are equal",
                hint="use calibration.method=conformal or quantile, which need none",
            )
        return {"centre": centre, "deviation": deviation, "sigmas": self._sigmas(alpha, n)}

    def _sigmas(self, alpha: float, n: int) -> float:
        from scipy.stats import norm, t

        if self.sigmas is not None:
            return self.sigmas
        if self.robust:
            return float(norm.isf(alpha))
        return float(t.isf(alpha, n - 1)) * math.sqrt(1.0 + 1.0 / n)

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Return centre + k · deviation."""
        found = self.details(scores, alpha)
        return float(found["centre"] + found["sigmas"] * found["deviation"])

    def guarantee(self, alpha: float, n: int) -> str:
        """Say what holds under a normal law, and that the law is not checked."""
        if self.sigmas is not None:
            return (
                f"None: the threshold lies {self.sigmas:g} deviations above the n = {n} held-out good images; alpha "
                "was not used."
            )
        about = "about " if self.robust else ""
        return (
            f"If the scores of good images are normally distributed, which is not checked, a new one is rejected with "
            f"probability {about}{alpha:g} (n = {n}); otherwise nothing is guaranteed."
        )
