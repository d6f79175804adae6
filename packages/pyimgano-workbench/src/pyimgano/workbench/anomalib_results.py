"""What a folder of anomalib's results holds, read from its files alone: anomalib need not be installed.

``Engine`` of anomalib 2 writes ``<results>/<Model>/<dataset>/[<category>/]v<number>/weights/lightning/model.ckpt`` (and
``latest``, a link), ``export`` writes ``weights/torch|onnx|openvino/model.*`` beside it. Scores of images are nowhere:
only pictures of the maps are. Metrics are there when a logger was asked for (``metrics.csv`` of Lightning's).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import RunError

__all__ = ["FoundCheckpoint", "checkpoint_config", "distinct_names", "find_checkpoints"]

_FORMATS = {".ckpt": "checkpoint", ".onnx": "onnx", ".pt": "torch", ".xml": "openvino"}
_VERSION = re.compile(r"(v\d+|latest)$")
_METRIC = re.compile(r"(image|pixel)_\w+$")


@dataclass(frozen=True)
class FoundCheckpoint:
    """One checkpoint or export.

    Attributes
    ----------
    path : Path
        The file.
    kind : str
        ``"checkpoint"``, ``"onnx"``, ``"openvino"`` or ``"torch"`` (which needs ``trust`` to be loaded).
    model, dataset, category, version : str or None
        As the folders above it are named; None where they are not named so.
    metrics : mapping
        The last value of each metric that anomalib logged for this training: of scores that it normalised and clamped,
        by default on test images that it had chosen its threshold and the extremes on.
    metrics_file : Path or None
        Where they stand.
    """

    path: Path
    kind: str
    model: Optional[str]
    dataset: Optional[str]
    category: Optional[str]
    version: Optional[str]
    metrics: dict[str, float]
    metrics_file: Optional[Path]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "model": self.model,
            "dataset": self.dataset,
            "category": self.category,
            "version": self.version,
            "anomalib_metrics": self.metrics,
            "anomalib_metrics_file": None if self.metrics_file is None else str(self.metrics_file),
        }


def find_checkpoints(root: Path) -> list[FoundCheckpoint]:
    """Return what lies below a folder of anomalib's results, sorted by path; ``latest`` is not counted twice.

    Raises
    ------
    RunError
        When the folder is missing, or holds no checkpoint and no export.
    """
    if not root.is_dir():
        raise RunError("there is no such folder", where=str(root))
    found = [
        _describe(path)
        for path in sorted(root.rglob("*"))
        if path.suffix in _FORMATS and path.is_file() and not any(part.is_symlink() for part in _between(path, root))
    ]
    if not found:
        raise RunError(
            "holds no checkpoint and no export of anomalib",
            where=str(root),
            allowed=", ".join(f"*{suffix}" for suffix in _FORMATS),
            hint="name the folder that anomalib wrote to: results, unless its default_root_dir says otherwise",
        )
    return found


def _between(path: Path, root: Path) -> Iterator[Path]:
    while path != root:
        yield path
        path = path.parent


def _describe(path: Path) -> FoundCheckpoint:
    place = path.resolve().parent
    version = next((folder for folder in (place, *place.parents) if _VERSION.fullmatch(folder.name)), None)
    names: list[str] = [] if version is None else [folder.name for folder in list(version.parents)[:3] if folder.name]
    model = dataset = category = None
    # nearest first: [category,] dataset, Model; only classes of models begin with an upper-case letter for certain
    if len(names) == 3 and names[2][:1].isupper():
        category, dataset, model = names
    elif len(names) >= 2 and names[1][:1].isupper():
        dataset, model = names[:2]
    metrics, file = ({}, None) if version is None else _metrics(version)
    kind = _FORMATS[path.suffix]
    return FoundCheckpoint(
        path, kind, model, dataset, category, None if version is None else version.name, metrics, file
    )


def _metrics(version: Path) -> tuple[dict[str, float], Optional[Path]]:
    files = sorted(version.rglob("metrics.csv"))
    if not files:
        return {}, None
    found: dict[str, float] = {}
    with files[-1].open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            for name, text in row.items():
                value = _number(text) if name and _METRIC.fullmatch(name) else None
                if value is not None:
                    found[str(name)] = value
    return found, files[-1]


def _number(text: Optional[str]) -> Optional[float]:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def checkpoint_config(found: FoundCheckpoint, dataset: Optional[Path]) -> dict[str, Any]:
    """Return a run config that calibrates and evaluates a checkpoint on a dataset of the user's.

    Parameters
    ----------
    found : FoundCheckpoint
        Which.
    dataset : Path or None
        Root of the dataset; None leaves it to ``pyimgano train --dataset``.

    Notes
    -----
    A ``.pt`` is not given ``trust``: that is for the user to say.
    """
    params: dict[str, Any] = {"path": str(found.path.resolve())}
    if found.kind == "checkpoint" and found.model is not None:
        params["model"] = found.model
    config: dict[str, Any] = {
        "recipe": "industrial-adapt",
        "model": {"name": "anomalib-checkpoint", "params": params},
    }
    if dataset is not None:
        config["dataset"] = {"root": str(dataset.resolve())}
        if found.category is not None:
            config["dataset"]["categories"] = [found.category]
    return config


def distinct_names(found: Sequence[FoundCheckpoint]) -> list[str]:
    """Return a name for a file about each: model, dataset, category, version and kind as far as known, and a number."""
    names: list[str] = []
    for item in found:
        parts = [part for part in (item.model, item.dataset, item.category, item.version) if part]
        known = parts or [item.path.stem]
        if item.kind != "checkpoint":
            known.append(item.kind)
        name = re.sub(r"[^\w.-]+", "-", "-".join(known)).lower()
        number = 1 + sum(other == name or other.startswith(f"{name}~") for other in names)
        names.append(name if number == 1 else f"{name}~{number}")
    return names
