"""The folder of a robustness benchmark: what is measured, and the scores of each condition as they come.

::

    DIR/
      robustness.json  robustness.csv  report.html  [worst.png]
      plan.json                              the run, the images, the seed: what decides on every score
      conditions/clean.json  <drift>-<severity>.json
      [runs/…]                               the run, where the benchmark trained it
      [compared/<run>/plan.json  conditions/…]
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from pyimgano.core.errors import ConfigError, PyimganoError, RunError
from pyimgano.core.files import dump_json, load_json
from pyimgano.workbench.robust.conditions import Condition
from pyimgano.workbench.runs.directory import make_folder
from pyimgano.workbench.runs.lock import RunLock

__all__ = ["PLAN_JSON", "ROBUSTNESS_CSV", "ROBUSTNESS_JSON", "WORST_PNG", "RobustFolder"]

PLAN_JSON = "plan.json"
ROBUSTNESS_JSON = "robustness.json"
ROBUSTNESS_CSV = "robustness.csv"
WORST_PNG = "worst.png"
RUNS = "runs"
COMPARED = "compared"
CONDITIONS = "conditions"

FOLDER_SCHEMA = 1

_TOLERATED = {RUNS, ".lock"}
"""What a benchmark that was interrupted in its training leaves without a plan."""


class RobustFolder:
    """Keeps the scores of conditions, each written at once and whole.

    Parameters
    ----------
    path : Path
        The folder; it need not be there.

    Attributes
    ----------
    plan : mapping or None
        See :meth:`~pyimgano.workbench.robust.subject.Subject.plan`; None until there is one.

    Raises
    ------
    ConfigError
        When the folder holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan: Optional[Mapping[str, Any]] = None
        if (path / PLAN_JSON).is_file():
            plan = load_json(path / PLAN_JSON)
            if not isinstance(plan, dict) or plan.pop("schema_version", None) != FOLDER_SCHEMA:
                raise RunError(f"not a plan of version {FOLDER_SCHEMA}", where=str(path / PLAN_JSON))
            self.plan = plan
        elif path.exists():
            if not path.is_dir():
                raise ConfigError("is a file", where=str(path), hint="--output DIR")
            others = sorted(
                entry.name
                for entry in path.iterdir()
                if entry.name not in _TOLERATED and not entry.name.endswith(".part")
            )
            if others:
                raise ConfigError(
                    f"the folder holds something else: {', '.join(others[:3])}",
                    where=str(path),
                    hint="choose a new or an empty folder: --output DIR",
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder, and keep other processes from working in it."""
        make_folder(self.path)
        lock = RunLock(self.path)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Say what is measured here.

        Raises
        ------
        ConfigError
            When the folder holds results of something else; it says what differs.
        """
        if self.plan is None:
            make_folder(self.path / CONDITIONS)
            dump_json({"schema_version": FOLDER_SCHEMA, **plan}, self.path / PLAN_JSON)
            self.plan = plan
            return
        differing = [
            _difference(key, self.plan.get(key), plan.get(key)) for key in plan if self.plan.get(key) != plan[key]
        ]
        if differing:
            raise ConfigError(
                f"holds results of other settings: {'; '.join(differing)}",
                where=str(self.path),
                hint="choose another --output: results of two settings do not belong into one table",
            )

    def has(self, condition: Condition) -> bool:
        """Whether a condition is measured."""
        return self._file(condition).is_file()

    def add(self, condition: Condition, found: Mapping[str, Any]) -> None:
        """Keep what :func:`~pyimgano.workbench.robust.measuring.measure_condition` found."""
        record = {"schema_version": FOLDER_SCHEMA, "condition": condition.to_json(), "categories": dict(found)}
        dump_json(record, self._file(condition))

    def load(self, condition: Condition) -> Mapping[str, Any]:
        """Return what was added.

        Raises
        ------
        RunError
            When it is missing, damaged, or of other images than the plan names.
        """
        path = self._file(condition)
        try:
            record = load_json(path)
        except PyimganoError as error:
            raise RunError(
                error.message, where=error.where, hint="remove it, and the command measures it anew"
            ) from error
        images = {name: part["images"] for name, part in (self.plan or {}).get("categories", {}).items()}
        found: Any = record.get("categories") if isinstance(record, dict) else None
        fits = isinstance(found, dict) and all(
            isinstance(found.get(name), dict)
            and all(len(found[name].get(key, ())) == len(rows) for key in ("scores", "rejected"))
            for name, rows in images.items()
        )
        if not fits or record.get("schema_version") != FOLDER_SCHEMA:
            raise RunError(
                "is damaged: it does not fit the plan", where=str(path), hint="remove it, and it is measured anew"
            )
        return dict(found)

    def missing(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Return those that are not measured."""
        return [condition for condition in conditions if not self.has(condition)]

    def _file(self, condition: Condition) -> Path:
        return self.path / CONDITIONS / f"{condition.file_name}.json"


def _difference(key: str, there: Any, now: Any) -> str:
    spoken = {"categories": "other images or thresholds", "run": "another run", "dataset": "dataset"}
    if key == "run" and isinstance(there, dict):
        same = there.get("name") == now["name"]
        return f"the run {there.get('name')!r}" + (" as it was before" if same else f", not {now['name']!r}")
    if isinstance(now, (dict, list)):
        return spoken.get(key, key)
    return f"{key.replace('_', ' ')} {_plain(there)}, not {_plain(now)}"


def _plain(value: Union[str, int, bool, None]) -> str:
    return "none" if value is None else str(value)
