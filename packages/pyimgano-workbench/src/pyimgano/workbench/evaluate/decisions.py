"""What the calibrated thresholds do on a line: overkill, escape, review, and how sure these are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.inputs import scores_and_labels
from pyimgano.workbench.evaluate.intervals import proportion
from pyimgano.workbench.evaluate.metric import Metric

if TYPE_CHECKING:
    import numpy as np

__all__ = ["confusion", "decision_metrics", "rates_of"]


def confusion(
    scores: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    *,
    review_threshold: Optional[float] = None,
    decisions: Optional[Sequence[str]] = None,
) -> dict[str, int]:
    """Count what a threshold does: ``rejected_defective``, ``rejected_good``, ``passed_good``, ``passed_defective``.

    Parameters
    ----------
    scores : ndarray, (N,)
        Image scores; an image is rejected where score ≥ threshold.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    threshold : float
        The calibrated one.
    review_threshold : float, optional
        Where it is given, an image with review_threshold ≤ score < threshold is neither rejected nor passed, and is
        counted as ``review_good`` or ``review_defective``.
    decisions : sequence of str, (N,), optional
        ``"good"``, ``"review"`` or ``"defective"``: what was decided of each image, where something else than the score
        decides. The thresholds then only say whether there is a review band.

    Raises
    ------
    ParameterError
        When scores or labels are not as described, or the thresholds are not finite and in order.
    """
    import numpy as np

    values, defective = scores_and_labels(scores, labels)
    _check_thresholds(threshold, review_threshold)
    # Against float32 scores NumPy would round the threshold to float32.
    values = values.astype(np.float64, copy=False)
    if decisions is not None:
        decided = _checked_decisions(decisions, values.size)
        rejected, passed = decided == "defective", decided == "good"
    else:
        rejected = values >= threshold
        passed = ~rejected if review_threshold is None else values < review_threshold
    counts = {
        "rejected_defective": int((rejected & defective).sum()),
        "rejected_good": int((rejected & ~defective).sum()),
        "passed_good": int((passed & ~defective).sum()),
        "passed_defective": int((passed & defective).sum()),
    }
    if review_threshold is not None:
        review = ~(rejected | passed)
        counts["review_good"] = int((review & ~defective).sum())
        counts["review_defective"] = int((review & defective).sum())
    return counts


def decision_metrics(
    scores: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    *,
    review_threshold: Optional[float] = None,
    decisions: Optional[Sequence[str]] = None,
) -> dict[str, Metric]:
    """Return overkill, escape, precision, recall and F1 at a threshold, and the shares that go to review.

    Parameters
    ----------
    scores : ndarray, (N,)
        Image scores; defective is score ≥ threshold.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    threshold : float
        The calibrated one.
    review_threshold : float, optional
        Lower end of the review band, if there is one: good is score < review_threshold.
    decisions : sequence of str, (N,), optional
        As for :func:`confusion`.

    Returns
    -------
    dict
        ``overkill`` (good images rejected), ``escape`` (defective ones passed), ``precision`` and ``recall`` of the
        class *defective* (what goes to review counts as not rejected), each with its Clopper–Pearson interval; ``f1``;
        with a review band ``review_good`` and ``review_defective``.

    Raises
    ------
    ParameterError
        As :func:`confusion`.
    """
    return rates_of(confusion(scores, labels, threshold, review_threshold=review_threshold, decisions=decisions))


def rates_of(counts: dict[str, Any]) -> dict[str, Metric]:
    """Return the metrics of :func:`decision_metrics` from the counts of :func:`confusion`."""
    false, true = counts["rejected_good"], counts["rejected_defective"]
    n_good = false + counts["passed_good"] + counts.get("review_good", 0)
    n_defective = true + counts["passed_defective"] + counts.get("review_defective", 0)
    n = {"defective": n_defective, "rejected": true + false}
    metrics = {
        "overkill": proportion(false, n_good, "good"),
        "escape": proportion(counts["passed_defective"], n_defective, "defective"),
        "precision": proportion(true, true + false, "rejected"),
        "recall": proportion(true, n_defective, "defective"),
        "f1": (
            Metric(2.0 * true / (n_defective + true + false), n)
            if n_defective
            else Metric.undefined("no defective test images", **n)
        ),
    }
    if "review_good" in counts:
        metrics["review_good"] = proportion(counts["review_good"], n_good, "good")
        metrics["review_defective"] = proportion(counts["review_defective"], n_defective, "defective")
    return metrics


def _checked_decisions(decisions: Sequence[str], n: int) -> np.ndarray:
    import numpy as np

    decided = np.asarray(decisions, dtype=object)
    if decided.shape != (n,) or not set(decided.tolist()) <= {"good", "review", "defective"}:
        raise ParameterError(
            f"{decided.size} of them", where="decisions", allowed="'good', 'review' or 'defective' for each score"
        )
    return decided


def _check_thresholds(threshold: float, review_threshold: Optional[float]) -> None:
    if not math.isfinite(threshold):
        raise ParameterError(f"{threshold}", where="threshold", allowed="a finite number")
    if review_threshold is not None and not (math.isfinite(review_threshold) and review_threshold < threshold):
        raise ParameterError(
            f"{review_threshold}", where="review_threshold", allowed=f"a finite number below the threshold {threshold}"
        )
