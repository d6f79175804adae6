"""Runs below folders, ranked where they were tested on the same images, and only there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional, Union

from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.workbench.compare.comparison import compare_metric
from pyimgano.workbench.compare.directions import better_is, known_metric, require_direction
from pyimgano.workbench.compare.measured import MeasuredRun
from pyimgano.workbench.runs.directory import CONFIG_JSON
from pyimgano.workbench.runs.naming import INCOMPLETE

__all__ = ["LEADERBOARD_COLUMNS", "RankedRun", "Ranking", "find_runs", "rank_runs"]

LEADERBOARD_COLUMNS = (
    "group",
    "rank",
    "run",
    "model",
    "preset",
    "seed",
    "metric",
    "value",
    "low",
    "high",
    "as_good_as_best",
    "overkill",
    "escape",
    "n_good",
    "n_defective",
    "reason",
)
"""Columns of the CSV."""


@dataclass(frozen=True)
class RankedRun:
    """One run in its group.

    Attributes
    ----------
    rank : int or None
        1 is best; equal values share a rank. None where the metric is not defined.
    run, path : str
        Its name, and where it lies as it was found.
    model, preset, seed
        From its report.
    value : float or None
        The metric, the mean over the categories where there are several.
    interval : list of float or None
        Of the value, where its report has one.
    as_good_as_best : bool or None
        Whether the images do not tell it from the best; None where that cannot be tested, e.g. for pixel metrics.
    p : float or None
        Of the paired comparison with the best.
    overkill, escape : float or None
        Likewise.
    n_good, n_defective : int
        Test images.
    reason : str or None
        Why there is no value.
    """

    rank: Optional[int]
    run: str
    path: str
    model: Optional[str]
    preset: Optional[str]
    seed: Optional[int]
    value: Optional[float]
    interval: Optional[Sequence[float]]
    as_good_as_best: Optional[bool]
    p: Optional[float]
    overkill: Optional[float]
    escape: Optional[float]
    n_good: int
    n_defective: int
    reason: Optional[str]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return asdict(self)


@dataclass(frozen=True)
class Ranking:
    """Runs of the same test images, the best first.

    Attributes
    ----------
    dataset : str
        As the best run calls it.
    categories : dict of str to str
        Category → fingerprint of its test images.
    metric, better : str
        What they are ranked by, and which way is better.
    rows : list of RankedRun
        The runs.
    """

    dataset: str
    categories: Mapping[str, str]
    metric: str
    better: str
    rows: list[RankedRun]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "dataset": self.dataset,
            "categories": dict(self.categories),
            "metric": self.metric,
            "better": self.better,
            "runs": [row.to_json() for row in self.rows],
        }


def find_runs(folders: Sequence[Union[str, os.PathLike[str]]]) -> tuple[list[MeasuredRun], list[str]]:
    """Return all complete runs at or below folders, and a line on each that is left out.

    Raises
    ------
    RunError
        When a folder is not there.
    """
    found: dict[Path, MeasuredRun] = {}
    left_out = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise RunError("there is no such folder", where=str(folder), hint="pyimgano runs leaderboard DIR")
        for place, inner, files in os.walk(folder):
            inner.sort()
            if CONFIG_JSON not in files:
                inner[:] = [name for name in inner if not name.startswith(".")]
                continue
            inner.clear()
            path = Path(place)
            if path.name.endswith(INCOMPLETE):
                left_out.append(f"{path}: incomplete")
                continue
            try:
                found.setdefault(path.resolve(), MeasuredRun(path))
            except PyimganoError as error:
                left_out.append(f"{error.where or path}: {error.message}")
    return sorted(found.values(), key=lambda run: (run.name, str(run.path))), left_out


def rank_runs(runs: Sequence[MeasuredRun], metric: str, *, seed: int = 0, resamples: int = 2000) -> list[Ranking]:
    """Group runs by their test images and rank each group.

    Parameters
    ----------
    runs : sequence of MeasuredRun
        See :func:`find_runs`.
    metric : str
        What to rank by; lower is better for those for which it is.
    seed, resamples : int
        Of the paired bootstrap that compares each run with the best of its group.

    Raises
    ------
    UnknownNameError
        When no run has the metric.
    ConfigError
        When neither direction of it is better.
    """
    known = {name for run in runs for name in run.metric_names()}
    if runs:
        known_metric(metric, known, where="--metric")
    require_direction(metric, where="--metric")
    groups: dict[tuple[tuple[str, str], ...], list[MeasuredRun]] = {}
    for run in runs:
        key = tuple(sorted((name, part.fingerprint) for name, part in run.categories.items()))
        groups.setdefault(key, []).append(run)
    return [_rank(dict(key), group, metric, seed, resamples) for key, group in groups.items()]


def _rank(
    categories: Mapping[str, str], runs: Sequence[MeasuredRun], metric: str, seed: int, resamples: int
) -> Ranking:
    better = str(better_is(metric))
    sign = -1.0 if better == "higher" else 1.0
    values = {id(run): _value(run, metric) for run in runs}

    def order(run: MeasuredRun) -> tuple[bool, float, str, str]:
        value = values[id(run)][0]
        return value is None, 0.0 if value is None else sign * value, run.name, str(run.path)

    ordered = sorted(runs, key=order)
    best = ordered[0]
    rows: list[RankedRun] = []
    for position, run in enumerate(ordered):
        value, interval, reason = values[id(run)]
        try:
            as_good, p = (True, None) if run is best else _against(best, run, metric, seed, resamples)
        except RunError as error:
            as_good, p, reason = None, None, f"not compared with the best: {error.message}"
        rank: Optional[int] = position + 1
        if value is None:
            rank, as_good, p = None, None, None
        elif rows and rows[-1].value == value:
            rank = rows[-1].rank
        report = run.report
        data = [part.report["data"] for part in run.categories.values()]
        rows.append(
            RankedRun(
                rank,
                run.name,
                str(run.path),
                report.get("model"),
                report.get("preset"),
                report.get("seed"),
                value,
                interval,
                as_good,
                p,
                _value(run, "overkill")[0],
                _value(run, "escape")[0],
                sum(part.get("n_test_good", 0) for part in data),
                sum(part.get("n_test_defective", 0) for part in data),
                reason,
            )
        )
    return Ranking(str(best.report.get("dataset")), categories, metric, better, rows)


def _value(run: MeasuredRun, metric: str) -> tuple[Optional[float], Optional[Sequence[float]], Optional[str]]:
    """Return the value (or the mean), its interval and why there is none; a mean is over all categories or none."""
    found = [(name, part.metrics.get(metric)) for name, part in run.categories.items()]
    missing = [
        f"{name}: {'not measured' if one is None else one.get('reason')}"
        for name, one in found
        if one is None or one["value"] is None
    ]
    known = [one for _, one in found if one is not None and one["value"] is not None]
    if missing or not known:
        return None, None, "; ".join(missing)
    if len(known) == 1:
        return known[0]["value"], known[0].get("interval"), None
    return sum(one["value"] for one in known) / len(known), None, None


def _against(
    best: MeasuredRun, run: MeasuredRun, metric: str, seed: int, resamples: int
) -> tuple[Optional[bool], Optional[float]]:
    found = compare_metric(best, run, metric, seed=seed, resamples=resamples)
    if found is None or found.difference is None:
        return None, None
    if found.interval is None:  # nothing to test, unless there is no difference at all
        return True if abs(found.difference) < 1e-12 else None, None
    return found.verdict != "worse", found.p
