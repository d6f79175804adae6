"""The headline: how much of what the threshold is worth survives drift, and where it is worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Protocol

from pyimgano.workbench.compare.paired import bootstrap_interval
from pyimgano.workbench.evaluate import Metric
from pyimgano.workbench.evaluate.intervals import CONFIDENCE
from pyimgano.workbench.robust.conditions import CLEAN, Condition
from pyimgano.workbench.robust.resamples import drawn_rates, mean_over
from pyimgano.workbench.robust.scores import CategoryScores

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Summary", "summarise"]


class _Measured(Protocol):
    @property
    def levels(self) -> dict[str, Metric]: ...

    @property
    def balanced_accuracy(self) -> Optional[float]: ...


@dataclass(frozen=True)
class Summary:
    """The numbers that a run's robustness is told by.

    Attributes
    ----------
    metrics : dict of str to Metric
        ``retained``: mean over the conditions of (recall - overkill), divided by the same without drift: 1 where drift
        costs nothing, 0 where the threshold decides no better than one that rejects all or none, negative where worse.
        Undefined where the images do not show that it is worth anything without drift.
        ``balanced_accuracy_lost``, ``overkill_gained`` and ``recall_lost``: means over the conditions, against the
        images as they are. ``image_auroc``: mean over the conditions.
    worst : mapping or None
        The condition with the lowest balanced accuracy (without defective images: the highest overkill).
    by_drift : list of mapping
        The means of each drift over its severities.
    """

    metrics: dict[str, Metric]
    worst: Optional[Mapping[str, Any]]
    by_drift: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            **{name: metric.to_json() for name, metric in self.metrics.items()},
            "worst": self.worst,
            "by_drift": self.by_drift,
        }


def summarise(
    parts: Sequence[CategoryScores],
    conditions: Sequence[Condition],
    seed: int,
    results: Mapping[Condition, _Measured],
) -> Summary:
    """Sum conditions up.

    Parameters
    ----------
    parts : sequence of CategoryScores
        The categories; each counts the same.
    conditions : sequence of Condition
        Without the clean one; each counts the same.
    seed : int
        Of the resamples.
    results : mapping
        Condition → its result over all categories.
    """
    draws = [drawn_rates(part, [CLEAN, *conditions], seed) for part in parts]
    overkill, recall = mean_over([one for one, _ in draws]), mean_over([one for _, one in draws])
    n = {
        "conditions": len(conditions),
        "good": sum(int((part.labels == 0).sum()) for part in parts),
        "defective": sum(int((part.labels == 1).sum()) for part in parts),
    }
    gained = None if overkill is None else overkill[:, 1:].mean(axis=1) - overkill[:, 0]
    lost = None if recall is None else recall[:, 0] - recall[:, 1:].mean(axis=1)
    metrics = {
        "retained": _retained(overkill, recall, n),
        "balanced_accuracy_lost": _metric(None if gained is None or lost is None else (gained + lost) / 2.0, n),
        "overkill_gained": _metric(gained, n, "good"),
        "recall_lost": _metric(lost, n, "defective"),
        "image_auroc": _mean_auroc([results[condition] for condition in conditions], n),
    }
    return Summary(metrics, _worst(conditions, results), _by_drift(conditions, results))


def _retained(overkill: Optional[np.ndarray], recall: Optional[np.ndarray], n: dict[str, int]) -> Metric:
    import numpy as np

    if overkill is None or recall is None:
        return Metric.undefined(_missing(n), **n)
    worth = recall - overkill
    if not np.isfinite(worth[0]).all():
        return Metric.undefined("in a condition no image of a kind has a score", **n)
    # A share of what is hardly there would be any number at all.
    if worth[0, 0] <= 0.0 or np.nanquantile(worth[1:, 0], (1.0 - CONFIDENCE) / 2.0) <= 0.0:
        reason = "already without drift, the threshold is not shown to decide better than one that rejects all or none"
        return Metric.undefined(reason, **n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _metric(np.where(worth[:, 0] > 0.0, worth[:, 1:].mean(axis=1) / worth[:, 0], np.nan), n)


def _metric(draws: Optional[np.ndarray], n: dict[str, int], *kinds: str) -> Metric:
    import numpy as np

    n = {key: count for key, count in n.items() if not kinds or key in ("conditions", *kinds)}
    if draws is None:
        return Metric.undefined(_missing(n), **n)
    if not np.isfinite(draws[0]):
        return Metric.undefined("in a condition no image of a kind has a score", **n)
    interval, _ = bootstrap_interval(draws[1:], confidence=CONFIDENCE)
    facts: dict[str, Any] = {}
    if interval is not None:
        facts = {"interval": list(interval), "confidence": CONFIDENCE, "interval_method": "bootstrap"}
    return Metric(float(draws[0]), n, facts=facts)


def _missing(n: Mapping[str, int]) -> str:
    return f"no {' and no '.join(kind for kind in ('good', 'defective') if n.get(kind) == 0)} test images"


def _mean_auroc(results: Sequence[_Measured], n: dict[str, int]) -> Metric:
    values = [result.levels["image_auroc"].value for result in results]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Metric.undefined("not defined in every condition", **n)
    return Metric(sum(known) / len(known), n)


def _worst(conditions: Sequence[Condition], results: Mapping[Condition, _Measured]) -> Optional[dict[str, Any]]:
    def value(condition: Condition) -> Optional[float]:
        result = results[condition]
        overkill = result.levels["overkill"].value
        if result.levels["recall"].value is None:
            return None if overkill is None else -overkill
        return result.balanced_accuracy

    known = [(found, condition) for condition in conditions if (found := value(condition)) is not None]
    if not known:
        return None
    condition = min(known, key=lambda pair: pair[0])[1]  # the first of equals
    result = results[condition]
    return {
        **condition.to_json(),
        "balanced_accuracy": result.balanced_accuracy,
        **{name: result.levels[name].value for name in ("overkill", "recall", "image_auroc")},
    }


def _by_drift(conditions: Sequence[Condition], results: Mapping[Condition, _Measured]) -> list[dict[str, Any]]:
    found = []
    for drift in dict.fromkeys(condition.drift for condition in conditions):
        own = [results[condition] for condition in conditions if condition.drift == drift]
        row: dict[str, Any] = {"drift": drift}
        for name in ("overkill", "recall", "image_auroc"):
            values = [result.levels[name].value for result in own]
            known = [value for value in values if value is not None]
            row[name] = sum(known) / len(known) if known and len(known) == len(values) else None
        balanced = [result.balanced_accuracy for result in own]
        defined = [value for value in balanced if value is not None]
        row["balanced_accuracy"] = sum(defined) / len(defined) if defined and len(defined) == len(balanced) else None
        found.append(row)
    return found
