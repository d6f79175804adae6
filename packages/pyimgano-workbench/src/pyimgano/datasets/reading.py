"""The way into every dataset: choose a reader, read, and give splits to data that has none."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from pyimgano.core.contracts import DatasetReader, Samples
from pyimgano.core.errors import DatasetError, PyimganoError
from pyimgano.core.registry import DATASETS
from pyimgano.datasets.splits import assign_splits

__all__ = ["detect_format", "read_dataset"]

BEFORE = ("visa", "mvtec", "manifest")
AFTER = ("folder",)
"""Order of detection: what is specific, then what third parties registered, by name, then what fits nearly anything."""


def detection_order() -> tuple[str, ...]:
    """Return the names of all registered layouts in the order in which they are asked."""
    names = DATASETS.names()
    others = [name for name in names if name not in BEFORE + AFTER]
    return tuple(name for name in (*BEFORE, *others, *AFTER) if name in names)


def _make(name: str) -> DatasetReader:
    reader: DatasetReader = DATASETS.load(name)()
    return reader


def detect_format(root: Union[str, os.PathLike[str]]) -> tuple[str, tuple[str, ...]]:
    """Return the layout that a folder or manifest has, and why, in sentences.

    Raises
    ------
    DatasetError
        When ``root`` does not exist, or no layout fits.
    """
    path = _existing(root)
    fits: list[tuple[str, str]] = []
    broken: list[str] = []
    for name in detection_order():
        try:
            reason = _make(name).detect(path)
        except Exception as error:  # a stranger's reader may raise anything; ours raise DatasetError for what is odd
            if isinstance(error, DatasetError) and name in AFTER and not fits:
                raise
            message = error.message if isinstance(error, PyimganoError) else f"{type(error).__name__}: {error}"
            # Notes go into reports, which name no place of this machine.
            message = message.replace(str(path.resolve()), path.name).replace(str(path), path.name)
            broken.append(f"The layout {name!r} could not be asked: {message}.")
            continue
        if reason is not None:
            fits.append((name, reason))
    if not fits:
        raise DatasetError(
            "no known layout fits this " + ("file" if path.is_file() else "folder"),
            where=str(root),
            allowed="\n  "
            + "\n  ".join(f"{e.spec.name}: {e.spec.layout or e.spec.summary}" for e in DATASETS.entries()),
            hint="move the images into train/good, or list them in a manifest (see docs/datasets.md)",
        )
    notes = [f"Read as {fits[0][0]!r}: {fits[0][1]}."]
    # What is specific is nearly always a folder, too: that is no doubt worth a sentence.
    also = [name for name, _ in fits[1:] if name not in AFTER]
    if also:
        notes.append(f"{', '.join(also)} fits as well; {fits[0][0]!r} comes first. The format can be stated instead.")
    return fits[0][0], tuple(notes + broken)


def _existing(root: Union[str, os.PathLike[str]]) -> Path:
    path = Path(root).expanduser()
    if not path.exists():
        parent = path.parent
        missing = parent if not parent.exists() else path
        raise DatasetError("does not exist", where=str(missing), hint="check the path of the dataset")
    return path


def read_dataset(
    root: Union[str, os.PathLike[str]],
    *,
    format: str = "auto",
    categories: Optional[Sequence[str]] = None,
    seed: int = 0,
) -> Samples:
    """Read a dataset: which images it has, with labels, splits, masks and categories. Nothing is decoded.

    Parameters
    ----------
    root : path-like
        A folder, or a manifest file.
    format : str
        A registered layout (``pyimgano datasets list``), or ``"auto"``: the layouts are asked in turn, the specific
        ones first, and the notes say which was taken, why, and which others fit.
    categories : sequence of str, optional
        Read these only.
    seed : int
        Decides which good images become test images where the dataset has defective images and no split.

    Returns
    -------
    Samples
        Sorted by id. ``notes`` say what was taken for what, and what was left out.

    Raises
    ------
    DatasetError
        When ``root`` is missing, no layout fits, or the dataset is not what its layout asks for.
    UnknownNameError
        When ``format`` is not a registered layout.
    """
    path = _existing(root)
    notes: tuple[str, ...]
    if format == "auto":
        name, notes = detect_format(path)
    else:
        name, notes = format, (f"Read as {format!r}, as asked for.",)
    samples = _make(name).read(path, categories=categories)
    return assign_splits(dataclasses.replace(samples, notes=notes + tuple(samples.notes)), seed=seed)
