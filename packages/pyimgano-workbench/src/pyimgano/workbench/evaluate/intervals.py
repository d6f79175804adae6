"""How sure a measured rate or AUROC is."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.metric import Metric

__all__ = ["CONFIDENCE", "auroc_interval", "clopper_pearson", "proportion"]

CONFIDENCE = 0.95
"""Of every interval in a report."""


@lru_cache(maxsize=4096)
def clopper_pearson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact (conservative) confidence interval of a proportion.

    Parameters
    ----------
    successes, n : int
        0 ≤ successes ≤ n, n ≥ 1.
    confidence : float
        In (0, 1).

    Raises
    ------
    ParameterError
        When they are not.

    References
    ----------
    C. J. Clopper, E. S. Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*,
    Biometrika 26, 1934.
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= n or n < 1:
        raise ParameterError(f"{successes} of {n}", where="successes, n", allowed="0 <= successes <= n and n >= 1")
    tail = _tail(confidence)
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1.0 - tail))
    return low, high


def proportion(count: int, n: int, what: str, **facts: Any) -> Metric:
    """Return ``count`` of ``n`` as a metric with its Clopper–Pearson interval; undefined where ``n`` is 0.

    Parameters
    ----------
    count, n : int
        0 ≤ count ≤ n.
    what : str
        What was counted, the key of ``n``: ``"good"``, ``"defective"``, …
    **facts
        What else belongs to it.
    """
    if n == 0:
        return Metric.undefined(f"no {what} test images", **{what: 0})
    interval = {
        "interval": list(clopper_pearson(count, n)),
        "confidence": CONFIDENCE,
        "interval_method": "clopper-pearson",
    }
    return Metric(count / n, {what: n}, facts={"count": count, **interval, **facts})


def auroc_interval(
    auroc: float,
    variance: Optional[float],
    n_defective: int,
    n_good: int,
    *,
    confidence: float = CONFIDENCE,
) -> tuple[float, float, str]:
    """Return the confidence interval of an AUROC, and how it was found.

    Parameters
    ----------
    auroc : float
        In [0, 1].
    variance : float or None
        DeLong's estimate; None where there is none, i.e. with a single image of a kind.
    n_defective, n_good : int
        What the AUROC was measured on, ≥ 1.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : float
        In [0, 1]; ``auroc`` lies between them.
    method : str
        ``"delong+newcombe"``: the smallest interval that holds both DeLong's (normal on the logit scale, so that it
        stays within [0, 1]) and Newcombe's (his method 5). ``"newcombe"``: that one alone, where DeLong's variance is 0
        or missing.

    Notes
    -----
    DeLong's variance is estimated from the same ranks as the AUROC. It is 0 where defective and good images are
    separated perfectly, or all have the same score, and would claim to know the AUROC exactly from however few images.
    Near that end it is too small as well. In simulations with normal scores (33 settings of AUROC, numbers of images
    and spread of the defective scores, 1,500 draws each) its 95 % interval held the true AUROC in 81 % of the draws
    with 20 defective images at 0.97, and in 84 % with 100 of them and 400 good ones at 0.99. Newcombe takes the
    variance as a function of the *true* AUROC (Hanley and McNeil's, for exponential scores) and returns every value
    that is compatible with the one seen: it keeps a width where DeLong's loses it, but covers less (90 %) where the
    spreads of good and defective scores differ much. Together they held it in at least 95 % in every setting, mostly
    hardly wider than DeLong's alone, 2.2 times as wide at most.

    Images are taken as independent. Several views of one part are not: then it is too narrow.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, *Comparing the areas under two or more correlated receiver
    operating characteristic curves*, Biometrics 44, 1988. R. G. Newcombe, *Confidence intervals for an effect size
    measure based on the Mann–Whitney statistic, part 2*, Statistics in Medicine 25, 2006.
    """
    z = _quantile(confidence)
    low, high = _newcombe(auroc, n_defective, n_good, z)
    if variance is None or variance <= 0.0 or not 0.0 < auroc < 1.0:
        return low, high, "newcombe"
    logit = math.log(auroc / (1.0 - auroc))
    step = z * math.sqrt(variance) / (auroc * (1.0 - auroc))
    return min(low, _logistic(logit - step)), max(high, _logistic(logit + step)), "delong+newcombe"


def _newcombe(auroc: float, n_defective: int, n_good: int, z: float) -> tuple[float, float]:
    """Solve (auroc − t)² = z² · variance(t) for t below and above the AUROC."""
    from scipy.optimize import brentq

    half = (n_defective + n_good) / 2.0 - 1.0

    def spread(t: float) -> float:
        """z² times the variance, without its factor t (1 − t)."""
        return z * z * (1.0 + half * ((1.0 - t) / (2.0 - t) + t / (1.0 + t))) / (n_defective * n_good)

    def excess(t: float) -> float:
        return (auroc - t) ** 2 - t * (1.0 - t) * spread(t)

    # At the ends the AUROC itself is a root; it is divided out.
    if auroc >= 1.0:
        return float(brentq(lambda t: (1.0 - t) - t * spread(t), 0.0, 1.0)), 1.0
    if auroc <= 0.0:
        return 0.0, float(brentq(lambda t: t - (1.0 - t) * spread(t), 0.0, 1.0))
    return float(brentq(excess, 0.0, auroc)), float(brentq(excess, auroc, 1.0))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0.0 else math.exp(x) / (1.0 + math.exp(x))


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1.0 - _tail(confidence)))


def _tail(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ParameterError(f"{confidence!r}", where="confidence", allowed="between 0 and 1, e.g. 0.95")
    return (1.0 - confidence) / 2.0
