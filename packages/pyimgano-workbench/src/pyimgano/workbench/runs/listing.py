"""The runs below a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional, Union

from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import load_json
from pyimgano.workbench.runs.directory import CONFIG_JSON, REPORT_JSON, RunDirectory

__all__ = ["RunInfo", "list_runs"]


@dataclass(frozen=True)
class RunInfo:
    """What a listing says of one run.

    Attributes
    ----------
    name, path : str
        The run, and where it lies, relative to the folder that was listed.
    state : str
        ``"complete"``, ``"incomplete"`` or ``"damaged"``.
    problem : str or None
        Why it is damaged.
    recipe, model, dataset, seed
        From its config.
    n_categories, n_test : int or None
        From its report.
    means : mapping
        Metric → mean over the categories, from its report.
    """

    name: str
    path: str
    state: str
    problem: Optional[str] = None
    recipe: Optional[str] = None
    preset: Optional[str] = None
    model: Optional[str] = None
    dataset: Optional[str] = None
    seed: Optional[int] = None
    n_categories: Optional[int] = None
    n_test: Optional[int] = None
    means: Optional[Mapping[str, Any]] = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return asdict(self)


def list_runs(folder: Union[str, os.PathLike[str]] = "runs") -> list[RunInfo]:
    """Return the runs directly below ``folder``, sorted by name, which is by time.

    Raises
    ------
    RunError
        When the folder cannot be listed.
    """
    root = Path(folder)
    try:
        candidates = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except OSError as error:
        hint = "name the folder that the runs lie in: pyimgano runs list DIR"
        raise RunError(f"cannot list: {error.strerror or error}", where=str(root), hint=hint) from error
    names = [name for name in candidates if not name.startswith(".") and (root / name / CONFIG_JSON).is_file()]
    return [_describe(root / name) for name in names]


def _describe(path: Path) -> RunInfo:
    run = RunDirectory(path)
    facts: dict[str, Any] = {"name": run.name, "path": path.name}
    try:
        # As it stands: a listing must not fail because a model's package is gone.
        config = load_json(path / CONFIG_JSON)
        facts.update(recipe=config["recipe"], preset=config["preset"], seed=config["seed"])
        facts.update(model=config["model"]["name"], dataset=Path(config["dataset"]["root"]).name)
        if not run.complete:
            return RunInfo(state="incomplete", **facts)
        report = load_json(path / REPORT_JSON)
        facts.update(n_categories=len(report["categories"]), n_test=report.get("n_test"), means=report.get("means"))
    except PyimganoError as error:
        return RunInfo(state="damaged", problem=error.message, **facts)
    except (KeyError, TypeError) as error:
        return RunInfo(state="damaged", problem=f"lacks {error}", **facts)
    return RunInfo(state="complete", **facts)
