"""A run as its files tell it: no dataset, no model, wherever the run lies now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Union

from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import load_json
from pyimgano.workbench.records import PredictionRecord, read_records
from pyimgano.workbench.runs import open_run
from pyimgano.workbench.runs.directory import CONFIG_JSON, ENVIRONMENT_JSON, CategoryFolder

__all__ = ["MeasuredCategory", "MeasuredRun", "measured_run"]


class MeasuredCategory:
    """One category of a run.

    Attributes
    ----------
    name : str
        The category.
    folder : CategoryFolder
        Where it lies.
    report : mapping
        Its ``report.json``.
    metrics : mapping
        Metric → its JSON form.
    fingerprint : str
        Of the test images: SHA-256 over their ids and contents.
    """

    def __init__(self, folder: CategoryFolder) -> None:
        self.folder = folder
        self.name = folder.name
        self.report: Mapping[str, Any] = folder.report()
        try:
            self.fingerprint = str(self.report["data"]["fingerprints"]["test"])
            self.metrics: Mapping[str, Mapping[str, Any]] = self.report["metrics"]
            self.n_test = int(self.report["data"]["n_test"])
            values = [(name, metric["value"], metric["n"]) for name, metric in self.metrics.items()]
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"is no report that can be compared: it lacks {error}", where=str(folder.report_file)
            ) from error
        for name, value, _ in values:
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise RunError(f"the value of {name} is no number: {value!r}", where=str(folder.report_file))

    @cached_property
    def records(self) -> dict[str, PredictionRecord]:
        """Image → its record.

        Raises
        ------
        RunError
            When ``per_image.jsonl`` is missing, unreadable, or not what the report beside it counts.
        """
        where = str(self.folder.per_image)
        records = read_records(self.folder.per_image)
        found = {record.image: record for record in records}
        if len(found) < len(records):
            raise RunError("is damaged: it names an image twice", where=where)
        if len(found) != self.n_test:
            raise RunError(
                f"is damaged: it has {len(found)} records, and the report beside it counts {self.n_test} test images",
                where=where,
            )
        return found


class MeasuredRun:
    """A complete run, read from its files.

    Attributes
    ----------
    name : str
        The run.
    path : Path
        Where it lies.
    report, config, environment : mapping
        ``report.json``; ``config.json`` and ``environment.json`` as they stand.
    categories : dict of str to MeasuredCategory
        In the run's order.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        run = open_run(path)
        self.name, self.path = run.name, run.path
        self.report: Mapping[str, Any] = run.report()
        self.config = _mapping(run.path / CONFIG_JSON)
        self.environment = _mapping(run.path / ENVIRONMENT_JSON)
        try:
            self.categories = {folder.name: MeasuredCategory(folder) for folder in run.categories()}
        except (KeyError, TypeError) as error:
            raise RunError(f"is no report of a run: it lacks {error}", where=str(run.path / "report.json")) from error
        if not self.categories:
            raise RunError("the run has no categories", where=str(run.path))

    def facts(self) -> dict[str, Any]:
        """Return what a comparison says of the run itself, JSON-friendly."""
        keys = ("finished", "recipe", "preset", "model", "dataset", "seed", "n_test", "errors")
        return {"run": self.name, **{key: self.report.get(key) for key in keys}}

    def metric_names(self) -> list[str]:
        """Return the metrics that any category has, in the report's order."""
        names: dict[str, None] = {}
        for category in self.categories.values():
            names.update(dict.fromkeys(category.metrics))
        return list(names)


def measured_run(path: Union[str, os.PathLike[str]]) -> MeasuredRun:
    """Read a run.

    Raises
    ------
    RunError
        When there is no run, it is incomplete, or a file of it is missing or damaged; it names the file.
    """
    return MeasuredRun(path)


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        data = load_json(path)
    except PyimganoError as error:
        raise RunError(error.message, where=error.where, hint="the run is damaged") from error
    if not isinstance(data, dict):
        raise RunError("holds no JSON object", where=str(path))
    return data
