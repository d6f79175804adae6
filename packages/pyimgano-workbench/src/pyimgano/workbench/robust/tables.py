"""The results as rows: for ``robustness.csv``, and for people."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.files import atomic_open
from pyimgano.workbench.compare.difference import Difference
from pyimgano.workbench.evaluate import Metric
from pyimgano.workbench.robust.conditions import CLEAN
from pyimgano.workbench.robust.results import METRICS, ConditionResult, Robustness

__all__ = ["CSV_COLUMNS", "drift_rows", "headline_lines", "write_robustness_csv"]

_LEVEL = ("", "_low", "_high")
_CHANGE = ("_change", "_change_low", "_change_high", "_change_p")

CSV_COLUMNS = (
    "drift",
    "severity",
    "category",
    "n_good",
    "n_defective",
    "errors",
    "balanced_accuracy",
    *(f"{name}{part}" for name in METRICS for part in (*_LEVEL, *_CHANGE)),
)
"""Columns of ``robustness.csv``. ``_change`` is the value minus the one without drift, image by image."""


def write_robustness_csv(found: Robustness, path: Path) -> None:
    """Write a row for every condition and category, and with several categories one for their mean (no category)."""
    with atomic_open(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        writer.writerows(_rows(found))


def _rows(found: Robustness) -> Iterator[list[Any]]:
    for condition, by_category in found.results.items():
        for name, result in by_category.items():
            if name is None and len(by_category) == 2:  # the mean of one category is that category
                continue
            place = ["clean" if condition.drift is None else condition.drift, condition.severity, name or ""]
            cells: list[Any] = [result.n_good, result.n_defective, result.errors, result.balanced_accuracy]
            for metric in METRICS:
                cells += _level(result.levels[metric])
                cells += _change(result.changes.get(metric))
            yield [*place, *("" if cell is None else cell for cell in cells)]


def _level(metric: Metric) -> list[Optional[float]]:
    low, high = metric.facts.get("interval", (None, None))
    return [metric.value, low, high]


def _change(found: Optional[Difference]) -> list[Optional[float]]:
    if found is None:
        return [None, None, None, None]
    low, high = found.interval or (None, None)
    return [found.difference, low, high, found.p]


DRIFT_COLUMNS = ("drift", "overkill %", "recall %", "image AUROC", "errors")


def drift_rows(found: Robustness) -> list[tuple[str, ...]]:
    """Return a row for the images as they are, and one for each drift, with a number for each severity."""
    clean = found.results[CLEAN][None]
    rows = [("(clean)", *_cells([clean]))]
    for drift in dict.fromkeys(condition.drift for condition in found.conditions):
        own = [found.results[condition][None] for condition in found.conditions if condition.drift == drift]
        rows.append((str(drift), *_cells(own)))
    return rows


def _cells(results: Sequence[ConditionResult]) -> tuple[str, ...]:
    def joined(name: str, factor: float, digits: int) -> str:
        values = [result.levels[name].value for result in results]
        return "  ".join("–" if value is None else f"{factor * value:.{digits}f}" for value in values)

    errors = sum(result.errors for result in results)
    return (joined("overkill", 100.0, 1), joined("recall", 100.0, 1), joined("image_auroc", 1.0, 3), str(errors))


def headline_lines(found: Robustness) -> list[str]:
    """Return what a run's robustness is in sentences."""
    metrics = found.summary.metrics
    drifts = len({condition.drift for condition in found.conditions})
    severities = len({condition.severity for condition in found.conditions})
    run = found.plan["run"]
    lines = [
        f"{run['name']} ({run['model']}) under {drifts} drifts x {severities} severities, at its calibrated threshold:",
        f"  retained of recall - overkill: {_with_interval(metrics['retained'], 100.0, ' %')}",
        f"  overkill gained: {_with_interval(metrics['overkill_gained'], 100.0, ' points')}",
        f"  recall lost: {_with_interval(metrics['recall_lost'], 100.0, ' points')}",
        f"  image AUROC, mean: {_with_interval(metrics['image_auroc'], 1.0, '', 3)}",
    ]
    worst = found.summary.worst
    if worst is not None:
        recall = "" if worst["recall"] is None else f", recall {100 * worst['recall']:.1f} %"
        lines.append(f"  worst: {worst['drift']} {worst['severity']}: overkill {100 * worst['overkill']:.1f} %{recall}")
    return lines


def _with_interval(metric: Metric, factor: float, unit: str, digits: int = 1) -> str:
    if metric.value is None:
        return f"not defined ({metric.reason})"
    text = f"{factor * metric.value:.{digits}f}{unit}"
    if "interval" in metric.facts:
        low, high = metric.facts["interval"]
        text += f" (95 %: {factor * low:.{digits}f} … {factor * high:.{digits}f})"
    return text
