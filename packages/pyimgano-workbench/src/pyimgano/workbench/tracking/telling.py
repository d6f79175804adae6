"""From a run directory to what trackers are told; a tracker that fails is a warning and never the run's failure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pyimgano.core.creation import create_component
from pyimgano.core.files import dumps_json
from pyimgano.core.sinks import FinishedRun, LoggedStep
from pyimgano.workbench.runs import RunDirectory

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["finished_run", "tell_sinks"]


def tell_sinks(config: RunConfig, run: RunDirectory) -> None:
    """Tell every tracker of the config of a complete run; what one of them raises is a note to the user.

    Parameters
    ----------
    config : RunConfig
        The run's; ``output.sinks`` names the trackers.
    run : RunDirectory
        A complete run.
    """
    for entry in config.output.sinks:
        try:
            create_component("sink", entry.name, entry.params).record(finished_run(config, run))
        except Exception as error:  # whatever a tracker, its library or its server does, hours of fitting stand
            run.progress.note(
                f"warning: the tracker {entry.name!r} did not take the run: {type(error).__name__}: {error}\n"
                f"the run itself is complete: {run.path}"
            )


def finished_run(config: RunConfig, run: RunDirectory) -> FinishedRun:
    """Return what trackers are told of a complete run."""
    report = run.report()
    metrics: dict[str, float] = {}
    for entry in report.get("categories", ()):
        metrics.update(_defined(entry["name"], entry.get("metrics", {})))
        if isinstance(entry.get("threshold"), (int, float)):
            metrics[f"{entry['name']}/threshold"] = float(entry["threshold"])
    if len(report.get("categories", ())) > 1:
        metrics.update(_defined("mean", report.get("means", {})))
    data = config.to_json(relative_to=run.path)
    data.pop("output")
    # Its name alone: what is tracked may be seen by others than this machine's users.
    data["dataset"]["root"] = report.get("dataset")
    return FinishedRun(run.path.name, run.path, dict(_flat("", data)), metrics, tuple(_steps(run)))


def _defined(place: str, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    values = {f"{place}/{name}": metric.get("value") for name, metric in metrics.items()}
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _flat(prefix: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, dumps_json(value) if isinstance(value, (list, tuple)) else value


def _steps(run: RunDirectory) -> Iterator[LoggedStep]:
    # Late: most runs have no training.
    from pyimgano.workbench.train.metric_log import read_log
    from pyimgano.workbench.train.runner import LOG

    for category in run.categories():
        path = run.path / "training" / category.folder / LOG
        if not path.is_file():
            continue
        for row in read_log(path):
            kind = row.get("kind", "train")
            values = {
                f"{kind}/{name}": float(value)
                for name, value in row.items()
                if name != "step"
                and isinstance(value, (int, float))
                and not isinstance(value, bool)
                and math.isfinite(value)
            }
            if values:
                yield LoggedStep(category.name, int(row["step"]), values)
