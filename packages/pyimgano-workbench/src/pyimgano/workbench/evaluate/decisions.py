"""What the calibrated threshold does on a line: overkill, escape, and how sure these are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.workbench.evaluate.metric import Metric

if TYPE_CHECKING:
    import numpy as np

__all__ = ["clopper_pearson", "confusion", "decision_metrics"]

CONFIDENCE = 0.95


def clopper_pearson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact (conservative) confidence interval of a proportion.

    Parameters
    ----------
    successes, n : int
        0 ≤ successes ≤ n, n ≥ 1.
    confidence : float
        In (0, 1).

    References
    ----------
    C. J. Clopper, E. S. Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*,
    Biometrika 26, 1934.
    """
    from scipy.stats import beta

    tail = (1.0 - confidence) / 2.0
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta.ppf(1.0 - tail, successes + 1, n - successes))
    return low, high


def confusion(scores: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, int]:
    """Count what a threshold does: ``rejected_defective``, ``rejected_good``, ``passed_good``, ``passed_defective``.

    Parameters
    ----------
    scores : ndarray, (N,) float
        Image scores; an image is rejected where score ≥ threshold.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    threshold : float
        The calibrated one.
    """
    import numpy as np

    rejected = np.asarray(scores) >= threshold
    defective = np.asarray(labels) == 1
    return {
        "rejected_defective": int((rejected & defective).sum()),
        "rejected_good": int((rejected & ~defective).sum()),
        "passed_good": int((~rejected & ~defective).sum()),
        "passed_defective": int((~rejected & defective).sum()),
    }


def decision_metrics(scores: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, Metric]:
    """Return overkill, escape, precision and recall at a threshold.

    Parameters
    ----------
    scores : ndarray, (N,) float
        Image scores; defective is score ≥ threshold.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    threshold : float
        The calibrated one.

    Returns
    -------
    dict
        ``overkill`` (good images rejected) and ``escape`` (defective ones passed), each with its Clopper–Pearson
        interval; ``precision`` and ``recall`` of the class *defective*.
    """
    counts = confusion(scores, labels, threshold)
    false, true = counts["rejected_good"], counts["rejected_defective"]
    n_good, n_defective = false + counts["passed_good"], true + counts["passed_defective"]
    return {
        "overkill": _rate(false, n_good, "good"),
        "escape": _rate(n_defective - true, n_defective, "defective"),
        "precision": _rate(true, true + false, "rejected", interval=False),
        "recall": _rate(true, n_defective, "defective", interval=False),
    }


def _rate(count: int, n: int, what: str, *, interval: bool = True) -> Metric:
    if n == 0:
        return Metric.undefined(f"no {what} test images", **{what: 0})
    facts = {"count": count}
    if not interval:
        return Metric(count / n, {what: n}, facts=facts)
    low, high = clopper_pearson(count, n)
    return Metric(count / n, {what: n}, facts={**facts, "interval": [low, high], "confidence": CONFIDENCE})
