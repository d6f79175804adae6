"""The run directory: everything that a run leaves, under a final name only when it is complete.

::

    runs/<UTC time>_<dataset>_<command>/           (…​.incomplete until the run is complete)
      report.json  config.json  environment.json  report.html
      categories/<category>/report.json  per_image.jsonl  per_image.csv  curves.json  [thumbs/ maps/ masks/ overlays/]
      checkpoints/<category>/…
      [training/<category>/log.jsonl  training.json  frozen.jsonl  last-<step>/  best-<step>/  tensorboard/]
      artifacts/infer_config.json  calibration_card.json  split.json  image_statistics.json

All JSON is strict and has a ``schema_version``; all paths in it are relative to the folder of the file that they stand
in, so a run can be moved.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.errors import PyimganoError, RunError, UnknownNameError
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.registry import MODELS
from pyimgano.workbench.progress import Progress, Silent
from pyimgano.workbench.runs.environment import describe_environment
from pyimgano.workbench.runs.lock import RunLock
from pyimgano.workbench.runs.naming import INCOMPLETE, category_folders, run_name

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["CONFIG_JSON", "ENVIRONMENT_JSON", "PER_IMAGE", "REPORT_JSON", "CategoryFolder", "RunDirectory", "open_run"]

CONFIG_JSON = "config.json"
REPORT_JSON = "report.json"
ENVIRONMENT_JSON = "environment.json"
PER_IMAGE = "per_image.jsonl"
PER_IMAGE_CSV = "per_image.csv"
CURVES = "curves.json"
INFER_CONFIG = "infer_config.json"
CALIBRATION_CARD = "calibration_card.json"
SPLIT = "split.json"
ROI_FOLDER = "roi"

RUN_REPORT_SCHEMA = 1
INFER_SCHEMA = 2


class CategoryFolder:
    """The part of a run directory that belongs to one category.

    Attributes
    ----------
    name : str
        The category.
    path : Path
        ``categories/<folder>`` of the run; the folders ``maps``, ``masks`` and ``overlays`` lie in it.
    checkpoint : Path
        ``checkpoints/<folder>`` of the run.
    """

    def __init__(self, run: RunDirectory, name: str, folder: str) -> None:
        self.name = name
        self.folder = folder
        self.path = run.path / "categories" / folder
        self.checkpoint = run.path / "checkpoints" / folder

    @property
    def report_file(self) -> Path:
        """The category's ``report.json``; written last, so a category that has one is complete."""
        return self.path / REPORT_JSON

    @property
    def per_image(self) -> Path:
        """The category's ``per_image.jsonl``."""
        return self.path / PER_IMAGE

    @property
    def complete(self) -> bool:
        """Whether the category is finished."""
        return self.report_file.is_file()

    def report(self) -> dict[str, Any]:
        """Return the category's report."""
        return _load(self.report_file)


class RunDirectory:
    """One run on disk. Made by :meth:`create`, found again by :func:`open_run`.

    Used as a context manager it holds the run's lock, so that no second process resumes it meanwhile.

    Attributes
    ----------
    path : Path
        Where it lies now; changes when :meth:`finish` gives it its final name.
    progress : Progress
        Who listens to the run's progress.
    """

    def __init__(self, path: Path, *, progress: Optional[Progress] = None) -> None:
        self.path = path
        self.progress: Progress = progress or Silent()
        self._folders: Optional[dict[str, str]] = None
        self._lock: Optional[RunLock] = None

    # -- making --------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        config: RunConfig,
        *,
        dataset: str,
        entrypoint: str = "train",
        progress: Optional[Progress] = None,
        now: Optional[datetime] = None,
    ) -> RunDirectory:
        """Make a new run directory, marked incomplete, below ``config.output.dir``.

        It comes into being whole, with its resolved ``config.json``: a process that is killed at any moment leaves
        either no run, or one that can be resumed. A name that is taken gets a number.

        Parameters
        ----------
        dataset, entrypoint : str
            Parts of its name.
        now : datetime, optional
            Time for its name; tests set it.

        Raises
        ------
        RunError
            When the folder cannot be made.
        """
        parent = Path(config.output.dir)
        wanted = config.output.name or run_name(dataset, entrypoint, now=now)
        # As many `..` away from everything as the final folder, and never the name of a run.
        draft = parent / f".{wanted[:80]}.{secrets.token_hex(4)}.part"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            draft.mkdir()
        except OSError as error:
            raise _cannot_make(parent, error) from error
        try:
            dump_json(config.to_json(relative_to=draft), draft / CONFIG_JSON)
            dump_json(describe_environment(), draft / ENVIRONMENT_JSON)
            path = _take_name(draft, parent, wanted, INCOMPLETE)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(path, progress=progress)

    def __enter__(self) -> RunDirectory:
        lock = RunLock(self.path)
        lock.acquire()
        self._lock = lock
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether the run is finished."""
        return not self.path.name.endswith(INCOMPLETE)

    @property
    def name(self) -> str:
        """The run's name, without the mark of an incomplete one."""
        return self.path.name[: -len(INCOMPLETE)] if not self.complete else self.path.name

    def config(self, *, check_dataset: bool = True) -> RunConfig:
        """Return the run's resolved config, with absolute paths."""
        from pyimgano.workbench.config import load_run_config

        return load_run_config(self.path / CONFIG_JSON, check_dataset=check_dataset)

    def report(self) -> dict[str, Any]:
        """Return ``report.json``.

        Raises
        ------
        RunError
            When it is missing or unreadable.
        """
        return _load(self.path / REPORT_JSON)

    def infer_config(self) -> dict[str, Any]:
        """Return ``artifacts/infer_config.json``."""
        return _load(self.artifact(INFER_CONFIG))

    # -- its parts -----------------------------------------------------------------------------------------------

    def artifact(self, name: str) -> Path:
        """Return the path of an artifact; the folder is there."""
        folder = self.path / "artifacts"
        make_folder(folder)
        return folder / name

    def plan(self, categories: Sequence[str]) -> list[CategoryFolder]:
        """Say which categories the run has, and return their folders."""
        self._folders = category_folders(categories)
        return [self.category(name) for name in categories]

    def categories(self) -> list[CategoryFolder]:
        """Return the folders of the run's categories."""
        return [self.category(name) for name in self._known_folders()]

    def category(self, name: str) -> CategoryFolder:
        """Return the folder of one category.

        Raises
        ------
        UnknownNameError
            When the run has no such category; it lists those it has.
        """
        folders = self._known_folders()
        if name not in folders:
            raise UnknownNameError(
                f"the run has no category {name!r}",
                where=str(self.path),
                allowed=", ".join(folders),
                hint=unknown_name_hint(name, folders),
            )
        return CategoryFolder(self, name, folders[name])

    def _known_folders(self) -> dict[str, str]:
        if self._folders is None:
            self._folders = {entry["name"]: entry["folder"] for entry in self.report().get("categories", ())}
        return self._folders

    def scratch(self) -> Path:
        """Return a folder for what does not outlive the run; it is there."""
        folder = self.path / ".scratch"
        make_folder(folder)
        return folder

    # -- its end -------------------------------------------------------------------------------------------------

    def finish(self, report: Mapping[str, Any]) -> None:
        """Write ``report.json`` and give the directory its final name.

        Parameters
        ----------
        report : mapping
            JSON-friendly. ``categories`` lists ``{"name", "folder"}`` of each category, as :meth:`plan` gave them; see
            :func:`pyimgano.workbench.stages.write_artifacts` for the rest of what listings show.

        Raises
        ------
        PyimganoError
            When something cannot be written; the run stays incomplete.
        """
        if self.complete:
            raise RunError("the run is already complete", where=str(self.path))
        shutil.rmtree(self.path / ".scratch", ignore_errors=True)
        # Again, now that the accelerator is known: the beginning imported no torch to ask for it.
        dump_json(describe_environment(self._model_distribution()), self.path / ENVIRONMENT_JSON)
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        dump_json(
            {"schema_version": RUN_REPORT_SCHEMA, "run": self.name, "finished": stamp, **report},
            self.path / REPORT_JSON,
        )
        self.seal()

    def _model_distribution(self) -> Optional[str]:
        """Return what the model comes from: a plugin's version belongs into the environment, too."""
        try:
            return MODELS.get(_load(self.path / CONFIG_JSON)["model"]["name"]).distribution
        except (PyimganoError, KeyError, TypeError):  # a recipe of its own kind may name no model of ours
            return None

    def seal(self) -> None:
        """Make the report page of a directory that has its ``report.json``, and give it the final name."""
        for part in self.path.rglob(".*.part"):  # files that a killed process was writing
            part.unlink()
        failure = self._make_page()
        if self._lock is not None:
            self._lock.release()  # Windows renames no folder with an open file
            self._lock = None
        self.path = _take_name(self.path, self.path.parent, self.name, "")
        if failure is not None:
            self.progress.note(
                f"warning: no report page: {failure}\nthe run itself is complete; once it is mended: "
                f'pyimgano runs report "{self.path}"'
            )

    def _make_page(self) -> Optional[Exception]:
        """Make the report page where the config wants it; return what kept it from being made."""
        try:
            # Late: the page is made from what runs leave, so its module stands above this one.
            from pyimgano.workbench.report import write_run_report

            if _load(self.path / CONFIG_JSON).get("output", {}).get("report", True):
                write_run_report(self)
        except Exception as error:  # whatever a page stumbles over, hours of fitting are not lost with it
            return error
        return None

    def discard(self) -> None:
        """Remove an incomplete run, e.g. one that failed before anything in it was finished."""
        if self.complete:
            raise RunError("a complete run is never discarded", where=str(self.path))
        self.__exit__(None, None, None)
        with contextlib.suppress(OSError):
            shutil.rmtree(self.path)

    def has_results(self) -> bool:
        """Whether anything in it is worth resuming: a fitted detector, a state of a training, a finished category."""
        results = ("checkpoints/*/fit.json", "training/*/last-*/detector.json", "categories/*/report.json")
        return any(any(self.path.glob(pattern)) for pattern in results)


def open_run(
    path: Union[str, os.PathLike[str]], *, complete: bool = True, progress: Optional[Progress] = None
) -> RunDirectory:
    """Find a run directory.

    Parameters
    ----------
    path : path-like
        The directory, with or without ``.incomplete``.
    complete : bool
        Whether an incomplete run is refused.

    Raises
    ------
    RunError
        When there is no run, or it is incomplete; it says how to finish it.
    """
    directory = Path(path)
    unfinished = directory.with_name(directory.name + INCOMPLETE)
    if not directory.exists() and unfinished.is_dir():
        directory = unfinished
    if not directory.is_dir():
        raise RunError("there is no such run", where=str(path), hint="pyimgano runs list shows those that there are")
    if not (directory / CONFIG_JSON).is_file():
        raise RunError(f"is no run directory: it has no {CONFIG_JSON}", where=str(directory))
    run = RunDirectory(directory, progress=progress)
    if complete and not run.complete:
        raise RunError(
            "the run is incomplete", where=str(directory), hint=f'finish it: pyimgano train --resume "{directory}"'
        )
    if complete and not (directory / REPORT_JSON).is_file():
        raise RunError(f"is damaged: it has no {REPORT_JSON}", where=str(directory))
    return run


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises
    ------
    RunError
        When it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(path, error) from error


def _cannot_make(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot make the folder: {error.strerror or error}",
        where=str(path),
        hint="choose another place with --output DIR",
    )


def _take_name(source: Path, parent: Path, name: str, ending: str) -> Path:
    """Rename ``source`` to the first of ``name``, ``name-2``, ``name-3``, … that is free, and return it."""
    for number in range(1, 10_000):
        plain = name if number == 1 else f"{name}-{number}"
        target = parent / f"{plain}{ending}"
        if (parent / plain).exists() or (target != source and (parent / f"{plain}{INCOMPLETE}").exists() and ending):
            continue
        try:
            os.rename(source, target)  # fails on a folder that is there and not empty; run folders never are
        except OSError as error:
            if target.exists():
                continue
            raise _cannot_make(target, error) from error
        return target
    raise RunError(f"ten thousand runs are called {name!r}", where=str(parent))


def _load(path: Path) -> dict[str, Any]:
    try:
        data = load_json(path)
    except PyimganoError as error:
        raise RunError(error.message, where=error.where) from error
    if not isinstance(data, dict):
        raise RunError("holds no JSON object", where=str(path))
    return data
