"""Metrics of whole images, on raw scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.curves import pr_points, roc_points, thin
from pyimgano.workbench.evaluate.delong import variance_of_tallies
from pyimgano.workbench.evaluate.inputs import scores_and_labels
from pyimgano.workbench.evaluate.intervals import CONFIDENCE, auroc_interval, proportion
from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.ranking import Ranking

if TYPE_CHECKING:
    import numpy as np

__all__ = ["auroc_metric", "image_curves", "image_metrics"]

RECALL_AT_FPR = (0.01, 0.05)
FPR_AT_RECALL = (0.95, 0.99)


def image_metrics(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    recall_at_fpr: Sequence[float] = RECALL_AT_FPR,
    fpr_at_recall: Sequence[float] = FPR_AT_RECALL,
) -> dict[str, Metric]:
    """Return what image scores are worth, whatever the threshold.

    Parameters
    ----------
    scores : ndarray, (N,)
        Raw image scores, finite; higher is more anomalous.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    recall_at_fpr : sequence of float
        False-positive rates, in [0, 1).
    fpr_at_recall : sequence of float
        Recalls, in (0, 1].

    Returns
    -------
    dict
        ``image_auroc`` with its interval (:func:`~pyimgano.workbench.evaluate.auroc_interval`); ``image_ap``;
        ``image_f1max`` with its threshold; per rate x ``image_recall_at_fpr_<x>``: the largest recall of a threshold
        that rejects at most a share x of the good images; per recall x ``image_fpr_at_recall_<x>``: the smallest
        false-positive rate of a threshold that rejects at least a share x of the defective ones. The latter two with
        the rate that was kept to (``fpr``, ``recall``), the threshold, and the Clopper–Pearson interval of the share at
        that threshold. The threshold was chosen on these very images: on others both rates will be somewhat worse,
        which no interval shows. All are undefined where an image of a kind is missing.

    Raises
    ------
    ParameterError
        When scores, labels or rates are not as described.
    """
    values, defective = scores_and_labels(scores, labels)
    _check_rates(recall_at_fpr, "recall_at_fpr", [rate for rate in recall_at_fpr if not 0.0 <= rate < 1.0])
    _check_rates(fpr_at_recall, "fpr_at_recall", [rate for rate in fpr_at_recall if not 0.0 < rate <= 1.0])
    n_defective = int(defective.sum())
    n = {"good": values.size - n_defective, "defective": n_defective}
    recalls = {f"image_recall_at_fpr_{rate:g}": rate for rate in recall_at_fpr}
    rates = {f"image_fpr_at_recall_{recall:g}": recall for recall in fpr_at_recall}
    reason = _missing(n)
    if reason is not None:
        names = ("image_auroc", "image_ap", "image_f1max", *recalls, *rates)
        return {name: Metric.undefined(reason, **n) for name in names}
    ranking = _ranked(values[defective], values[~defective])
    f1, threshold = ranking.f1_max()
    return {
        "image_auroc": _auroc(ranking),
        "image_ap": Metric(ranking.average_precision(), n),
        "image_f1max": Metric(f1, n, facts={"threshold": threshold}),
        **{name: _recall_at(ranking, rate) for name, rate in recalls.items()},
        **{name: _fpr_at(ranking, recall) for name, recall in rates.items()},
    }


def image_curves(scores: np.ndarray, labels: np.ndarray) -> dict[str, list[list[float]]]:
    """Return the curves of image scores, thinned to what a page can hold.

    Parameters
    ----------
    scores, labels : ndarray, (N,)
        As for :func:`image_metrics`.

    Returns
    -------
    dict
        ``"roc"``: [false-positive rate, recall, threshold], ``"pr"``: [recall, precision, threshold]; ``{}`` where an
        image of a kind is missing.

    Raises
    ------
    ParameterError
        When scores or labels are not as described.
    """
    values, defective = scores_and_labels(scores, labels)
    if not defective.any() or defective.all():
        return {}
    ranking = _ranked(values[defective], values[~defective])
    return {"roc": thin(roc_points(ranking)), "pr": thin(pr_points(ranking))}


def auroc_metric(defective: np.ndarray, good: np.ndarray) -> Metric:
    """Return the AUROC of some scores against others, with its interval; undefined where there are none of a kind.

    Parameters
    ----------
    defective, good : ndarray, (m,) and (n,)
        Finite scores of the same dtype.
    """
    n = {"good": int(good.size), "defective": int(defective.size)}
    reason = _missing(n)
    if reason is not None:
        return Metric.undefined(reason, **n)
    return _auroc(_ranked(defective, good))


def _ranked(defective: np.ndarray, good: np.ndarray) -> Ranking:
    ranking = Ranking(defective)
    ranking.add_good(good)
    return ranking


def _missing(n: dict[str, int]) -> Optional[str]:
    missing = [kind for kind, count in n.items() if count == 0]
    return f"no {' and no '.join(missing)} test images" if missing else None


def _auroc(ranking: Ranking) -> Metric:
    value = ranking.auroc()
    _, counts, below, up_to = ranking.tallies()
    variance = variance_of_tallies(counts, below, up_to, ranking.n_good, auroc=value)
    low, high, method = auroc_interval(value, variance, ranking.n_defective, ranking.n_good)
    return Metric(
        value,
        {"good": ranking.n_good, "defective": ranking.n_defective},
        facts={"interval": [low, high], "confidence": CONFIDENCE, "interval_method": method},
    )


def _recall_at(ranking: Ranking, limit: float) -> Metric:
    import numpy as np

    values, counts, below, _ = ranking.tallies()
    n_good = ranking.n_good
    allowed = min(int(limit * n_good) + 1, n_good)
    while allowed / n_good > limit:  # the quotient is rounded as the limit is, the product is not
        allowed -= 1
    first = int(np.searchsorted(below, n_good - allowed))
    if first == values.size:  # too many good images score above every defective one
        return proportion(0, ranking.n_defective, "defective", limit=limit, fpr=0.0, threshold=None)
    return proportion(
        int(counts[first:].sum()),
        ranking.n_defective,
        "defective",
        limit=limit,
        fpr=float((n_good - below[first]) / n_good),
        threshold=float(values[first]),
    )


def _fpr_at(ranking: Ranking, limit: float) -> Metric:
    import numpy as np

    values, counts, below, _ = ranking.tallies()
    n_defective = ranking.n_defective
    needed = max(int(limit * n_defective), 1)
    while needed / n_defective < limit:
        needed += 1
    ends = np.cumsum(counts)
    last = int(np.searchsorted(ends, n_defective - needed, side="right"))
    return proportion(
        int(ranking.n_good - below[last]),
        ranking.n_good,
        "good",
        limit=limit,
        recall=float((n_defective - ends[last] + counts[last]) / n_defective),
        threshold=float(values[last]),
    )


def _check_rates(given: Sequence[float], name: str, wrong: Sequence[float]) -> None:
    if wrong:
        allowed = "rates in [0, 1)" if name == "recall_at_fpr" else "rates in (0, 1]"
        raise ParameterError(f"{wrong[0]!r} in {list(given)!r}", where=name, allowed=allowed)
