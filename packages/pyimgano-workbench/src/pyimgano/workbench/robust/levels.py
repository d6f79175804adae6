"""The average of a metric's value over categories, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from pyimgano.workbench.compare.paired import bootstrap_interval
from pyimgano.workbench.evaluate import Metric, delong_variance
from pyimgano.workbench.evaluate.intervals import CONFIDENCE
from pyimgano.workbench.robust.conditions import Condition
from pyimgano.workbench.robust.resamples import drawn_rates
from pyimgano.workbench.robust.scores import CategoryScores

if TYPE_CHECKING:
    import numpy as np

__all__ = ["mean_levels"]


def mean_levels(
    parts: Sequence[CategoryScores], conditions: Sequence[Condition], seed: int
) -> dict[Condition, dict[str, Metric]]:
    """Return overkill, recall and AUROC of every condition, each the mean over the categories in which it is defined.

    The rates' intervals are percentiles of resamples of the images; that of the AUROC adds DeLong's variances up.
    """
    draws = [drawn_rates(part, conditions, seed) for part in parts]
    return {
        condition: {
            "overkill": _mean_rate([of_good for of_good, _ in draws], column, _scored(parts, condition, 0), "good"),
            "recall": _mean_rate([of_bad for _, of_bad in draws], column, _scored(parts, condition, 1), "defective"),
            "image_auroc": _mean_auroc(parts, condition),
        }
        for column, condition in enumerate(conditions)
    }


def _scored(parts: Sequence[CategoryScores], condition: Condition, label: int) -> int:
    return sum(int((part.scored(condition) & (part.labels == label)).sum()) for part in parts)


def _mean_rate(draws: Sequence[Optional[np.ndarray]], column: int, n: int, kind: str) -> Metric:
    import numpy as np

    columns = [part[:, column] for part in draws if part is not None and np.isfinite(part[0, column])]
    if not columns:
        return Metric.undefined(f"no {kind} image has a score", categories=0)
    values = np.mean(np.stack(columns), axis=0)
    interval, _ = bootstrap_interval(values[1:], confidence=CONFIDENCE)
    facts = {} if interval is None else _interval(interval, "bootstrap")
    return Metric(float(values[0]), {"categories": len(columns), kind: n}, facts=facts)


def _mean_auroc(parts: Sequence[CategoryScores], condition: Condition) -> Metric:
    from scipy.special import ndtri

    values, variances = [], []
    counts = {"good": 0, "defective": 0}
    for part in parts:
        which = part.scored(condition)
        labels = part.labels[which]
        if len(set(labels.tolist())) < 2:
            continue
        value, variance = delong_variance(part.scores[condition][which], labels)
        values.append(value)
        variances.append(variance)
        counts["good"] += int((labels == 0).sum())
        counts["defective"] += int((labels == 1).sum())
    n = {"categories": len(values), **counts}
    if not values:
        return Metric.undefined("no category has scored images of both kinds", **n)
    mean = sum(values) / len(values)
    known = [variance for variance in variances if variance is not None]
    if len(known) < len(variances) or sum(known) <= 0.0:  # perfect separation, of however few images
        return Metric(mean, n)
    reach = float(ndtri(0.5 + CONFIDENCE / 2.0)) * math.sqrt(sum(known)) / len(values)
    return Metric(mean, n, facts=_interval((max(0.0, mean - reach), min(1.0, mean + reach)), "delong"))


def _interval(interval: tuple[float, float], method: str) -> dict[str, object]:
    return {"interval": list(interval), "confidence": CONFIDENCE, "interval_method": method}
