"""A manifest of a dataset as it was read, without images that were marked."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.core.names import nearest_names

__all__ = ["read_marked", "without_marked", "write_manifest"]

_SHOWN = 5


def read_marked(path: Union[str, os.PathLike[str]]) -> tuple[str, ...]:
    """Return the images that a file names: the marked lines of a CSV, or every line of a text.

    Parameters
    ----------
    path : path-like
        With the ending ``.csv``, a table with the columns ``image`` and ``exclude``: an image counts when the cell
        below ``exclude`` is not empty (in any of its lines). Else a text with one image a line; lines that begin with
        ``#`` are comments.

    Raises
    ------
    DatasetError
        When it cannot be read, or lacks a column.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"not UTF-8 text: {error.reason}", where=str(path), hint="save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    lines = text.splitlines()
    if file.suffix.lower() != ".csv":
        named = [line.strip() for line in lines]
        return tuple(dict.fromkeys(line for line in named if line and not line.startswith("#")))
    # Spreadsheets write ; where the comma is the decimal mark.
    delimiter = max(",;\t", key=(lines or [""])[0].count)
    rows = csv.DictReader(lines, delimiter=delimiter)
    missing = [name for name in ("image", "exclude") if name not in (rows.fieldnames or ())]
    if missing:
        raise DatasetError(f"has no column {missing[0]!r}", where=str(path), allowed="a table with image and exclude")
    return tuple(dict.fromkeys(row["image"] for row in rows if (row["exclude"] or "").strip() and row["image"]))


def without_marked(samples: Samples, marked: Iterable[str]) -> Samples:
    """Return samples without those that are marked.

    Raises
    ------
    DatasetError
        When an image is marked that the dataset does not have, or none is left.
    """
    names = set(marked)
    known = {sample.id for sample in samples.samples}
    unknown = sorted(names - known)
    if unknown:
        close = nearest_names(unknown[0], sorted(known), 1)
        raise DatasetError(
            f"{len(unknown)} marked images are not in the dataset: {', '.join(unknown[:_SHOWN])}",
            where=str(samples.root),
            hint=f"did you mean {close[0]!r}?" if close else "the names are relative to the dataset's root",
        )
    kept = tuple(sample for sample in samples.samples if sample.id not in names)
    if not kept:
        raise DatasetError("every image is marked: none would be left", where=str(samples.root))
    return Samples(samples.root, kept, samples.notes)


def write_manifest(samples: Samples, path: Union[str, os.PathLike[str]]) -> None:
    """Write a manifest (JSON lines) that the layout ``manifest`` reads as the same images, atomically.

    Paths in it are relative to its folder, with ``/``, so that it can be moved together with the images.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    target = Path(path)
    folder = Path(os.path.realpath(target.parent))
    with atomic_open(target) as stream:
        for sample in samples.samples:
            stream.write(dumps_json(_row(sample, folder)) + "\n")


def _row(sample: Sample, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"image_path": _relative(sample.source, folder)}
    if sample.label is not None:
        row["label"] = sample.label
    if sample.masks:
        row["mask_path"] = [_relative(mask, folder) for mask in sample.masks]
    for name in ("split", "category", "defect", "group"):
        value = getattr(sample, name)
        if value is not None:
            row[name] = value
    return {**dict(sample.meta), **row}


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(os.path.realpath(path), folder)).as_posix()
    except ValueError:  # Windows: no relative path leads to another drive
        return Path(os.path.abspath(path)).as_posix()
