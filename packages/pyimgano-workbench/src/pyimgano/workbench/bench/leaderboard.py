"""The results: a row per cell, kept as they come, and their means over the seeds."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Optional

from pyimgano.core.errors import ConfigError, StorageError
from pyimgano.core.files import atomic_open, dump_json, load_json
from pyimgano.workbench.bench.cell import METRICS
from pyimgano.workbench.bench.matrix import Cell
from pyimgano.workbench.bench.suites import Skipped

__all__ = ["COLUMNS", "Leaderboard", "spread"]

LEADERBOARD_SCHEMA = 1

PLACE = ("model", "category", "seed")
COUNTS = ("n_fit", "n_calibration", "n_test_good", "n_test_defective")
TIMES = ("fit_seconds", "test_ms_per_image", "latency_ms")

COLUMNS = (*PLACE, "status", *METRICS, *COUNTS, "unscored", "threshold", *TIMES, "run", "error")
"""Columns of ``leaderboard.csv``."""


class Leaderboard:
    """The rows of a benchmark's folder.

    ``cells/<cell>.json`` holds one row each, written when the cell has ended; ``leaderboard.csv`` and
    ``leaderboard.json`` are made from them anew each time.

    Parameters
    ----------
    folder : Path
        The benchmark's folder; made when missing.
    cells : sequence of Cell
        What is asked for now; rows of other cells in the folder are kept and shown.
    skipped : sequence of Skipped
        Models of a suite that have no cells, and why. A cell whose weights or libraries turn out to be missing is a row
        with the status ``skipped``; both are tried again the next time.

    Raises
    ------
    ConfigError
        When the folder holds a cell's result from another config.
    StorageError
        When the folder cannot be made.
    PyimganoError
        When a row in it is damaged.
    """

    def __init__(self, folder: Path, cells: Sequence[Cell], skipped: Sequence[Skipped] = ()) -> None:
        self.folder = folder
        self.skipped = tuple(skipped)
        self._cells = folder / "cells"
        try:
            self._cells.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make the folder: {error.strerror or error}"
            raise StorageError(message, where=str(folder), hint="--output DIR") from error
        self._rows = {path.stem: load_json(path) for path in sorted(self._cells.glob("*.json"))}
        for cell in cells:
            known = self._rows.get(cell.name)
            if known is not None and known["fingerprint"] != cell.fingerprint:
                raise ConfigError(
                    f"holds results of {cell.model} on {cell.category} with other settings",
                    where=str(folder),
                    hint="choose another --output: results of two configs do not belong into one table",
                )
        self.waiting = [cell for cell in cells if self._rows.get(cell.name, {}).get("status") != "ok"]

    def add(self, cell: Cell, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the result of a cell, write the tables anew, and return its row."""
        place = {"model": cell.model, "category": cell.category, "seed": cell.seed}
        row = {
            "schema_version": LEADERBOARD_SCHEMA,
            "fingerprint": cell.fingerprint,
            **place,
            "status": "skipped" if answer.get("skipped") else "error" if "error" in answer else "ok",
            **answer.get("row", {}),
            "error": answer.get("error"),
        }
        dump_json(row, self._cells / f"{cell.name}.json")
        self._rows[cell.name] = row
        self.write()
        return row

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows, by model, category, seed."""
        keyed = sorted(self._rows.values(), key=lambda row: (row["model"], row["category"], row["seed"]))
        return [{name: row.get(name) for name in COLUMNS} for row in keyed]

    def summary(self) -> list[dict[str, Any]]:
        """Return mean and standard deviation over the seeds: for each model and category, then over its categories.

        The row of all categories (``category`` is None) takes, for each seed, the mean over the categories, and only
        those seeds that every category of the model has.
        """
        found: list[dict[str, Any]] = []
        rows = [row for row in self.rows() if row["status"] == "ok"]
        for model in sorted({row["model"] for row in self.rows() if row["status"] != "skipped"}):
            own = [row for row in rows if row["model"] == model]
            failed = sum(row["status"] == "error" for row in self.rows() if row["model"] == model)
            categories = sorted({row["category"] for row in own})
            for category in categories:
                part = [row for row in own if row["category"] == category]
                found.append(_summarised(model, category, [[row] for row in part]))
            seeds = [
                seed
                for seed in sorted({row["seed"] for row in own})
                if {row["category"] for row in own if row["seed"] == seed} == set(categories)
            ]
            if len(categories) != 1:
                by_seed = [[row for row in own if row["seed"] == seed] for seed in seeds]
                found.append({**_summarised(model, None, by_seed), "n_failed": failed})
            else:
                found[-1]["n_failed"] = failed
        return found

    def write(self) -> None:
        """Write ``leaderboard.csv`` and ``leaderboard.json``."""
        rows = self.rows()
        with atomic_open(self.folder / "leaderboard.csv") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([["" if row[name] is None else row[name] for name in COLUMNS] for row in rows])
        skipped = [one.to_json() for one in self.skipped]
        record = {"schema_version": LEADERBOARD_SCHEMA, "rows": rows, "summary": self.summary(), "skipped": skipped}
        dump_json(record, self.folder / "leaderboard.json")


def spread(values: Sequence[Optional[float]]) -> dict[str, Any]:
    """Return ``{"mean", "sd", "n"}`` of the values that are there; the standard deviation of one is None."""
    known = [value for value in values if value is not None]
    return {
        "mean": mean(known) if known else None,
        "sd": stdev(known) if len(known) > 1 else None,
        "n": len(known),
    }


def _summarised(model: str, category: Optional[str], by_seed: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"model": model, "category": category, "n_seeds": len(by_seed), "n_failed": 0}
    for name in (*METRICS, *TIMES):
        # One value per seed: the mean over the categories in which it is defined.
        summary[name] = spread([spread([row[name] for row in rows])["mean"] for rows in by_seed])
    for name in ("n_test_good", "n_test_defective"):
        summary[name] = sum(row[name] for rows in by_seed for row in rows)
    return summary
