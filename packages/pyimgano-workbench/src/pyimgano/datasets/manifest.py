"""A list of images in a JSONL or CSV file."""

from __future__ import annotations

import csv
import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.names import unknown_name_hint

__all__ = ["COLUMNS", "ManifestReader"]

COLUMNS = ("image_path", "label", "split", "mask_path", "category", "group", "defect")
"""The columns that have a meaning; every other one is kept in ``Sample.meta``."""

NAMES = ("manifest.jsonl", "manifest.csv")
"""What is looked for in a folder."""

_JSON_SUFFIXES = (".jsonl", ".ndjson")
_GOOD = frozenset(("0", "good", "normal", "ok"))
_DEFECTIVE = frozenset(("1", "defective", "defect", "anomaly", "anomalous", "abnormal", "bad", "ko", "ng"))
_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
_MEANT = {
    **dict.fromkeys(("image", "img", "img_path", "path", "file", "filename", "file_name"), "image_path"),
    **dict.fromkeys(("mask", "gt", "gt_path", "ground_truth"), "mask_path"),
}
_SHOWN = 8
"""How many faulty lines one error names."""


class ManifestReader:
    r"""Reads a manifest: ``root`` is the file, or a folder with ``manifest.jsonl`` or ``manifest.csv``.

    One line is one image. ``image_path`` is required; ``label`` (0, 1, good, defective, …), ``split`` (train,
    validation, test), ``mask_path``, ``category``, ``group`` and ``defect`` are known, every other column is kept.
    Paths are relative to the manifest, with ``/`` or, as Windows writes them, ``\``. All faulty lines are reported at
    once.
    """

    def detect(self, root: Path) -> Optional[str]:
        """Return why ``root`` is a manifest, or None."""
        if root.is_file() and root.suffix.lower() in (*_JSON_SUFFIXES, ".csv"):
            return f"the file {root.name}"
        present = [name for name in NAMES if (root / name).is_file()]
        if len(present) > 1:
            return f"it holds {present[0]} (taken) and {present[1]}"
        return f"it holds {present[0]}" if present else None

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples that the manifest lists.

        Raises
        ------
        DatasetError
            When the file is not a manifest, lines are faulty, listed files are missing, or an image is listed twice.
        """
        path = self._find(root)
        rows = list(_rows(path))
        if not rows:
            raise DatasetError("the manifest lists no images", where=str(path))
        _check_columns({name for _, row in rows for name in row}, path)
        builder = _Builder(path)
        for line, row in rows:
            builder.add(line, row)
        samples = builder.samples()
        if categories is not None:
            samples = _only(samples, categories, path)
        return samples

    def _find(self, root: Path) -> Path:
        if root.is_file():
            return root
        for name in NAMES:
            if (root / name).is_file():
                return root / name
        raise DatasetError(
            "no manifest here", where=str(root), allowed=f"a .jsonl or .csv file, or a folder with {NAMES[0]}"
        )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and columns."""
    try:
        if path.suffix.lower() in _JSON_SUFFIXES:
            yield from _json_rows(path)
        elif path.suffix.lower() == ".csv":
            yield from _csv_rows(path)
        else:
            raise DatasetError(
                f"unknown kind of manifest {path.suffix!r}", where=str(path), allowed=".jsonl, .ndjson, .csv"
            )
    except UnicodeDecodeError as error:
        raise DatasetError(f"not UTF-8 text: {error.reason}", where=str(path), hint="save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"cannot read: {error.strerror or error}", where=str(path)) from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig") as stream:
        for number, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text, parse_constant=_refuse_constant)
            except json.JSONDecodeError as error:
                raise DatasetError(f"not valid JSON: {error.msg}", where=f"{path}:{number}:{error.colno}") from error
            except ValueError as error:
                raise DatasetError(f"not valid JSON: {error}", where=f"{path}:{number}") from error
            if not isinstance(row, dict):
                raise DatasetError("a line must be one JSON object", where=f"{path}:{number}")
            yield number, row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as stream:
        first = stream.readline()
        stream.seek(0)
        # Spreadsheets write ; where the comma is the decimal mark.
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            twice = sorted({name for name in header if header.count(name) > 1})
            if twice:
                raise DatasetError(f"two columns called {twice[0]!r}", where=f"{path}:1")
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise DatasetError(
                        f"{len(cells)} cells under {len(header)} columns",
                        where=f"{path}:{reader.line_num}",
                        hint='a path with a comma stands in double quotes: "a,b.png"',
                    )
                yield reader.line_num, {name: cell.strip() or None for name, cell in zip(header, cells)}
        except csv.Error as error:
            raise DatasetError(f"not valid CSV: {error}", where=f"{path}:{reader.line_num}") from error


def _check_columns(found: set[str], path: Path) -> None:
    """Refuse a column whose name is a slip of one that has a meaning: as a free column it would silently have none."""
    for name in sorted(found - set(COLUMNS)):
        plain = name.strip().lower().replace("-", "_").replace(" ", "_")
        close = difflib.get_close_matches(plain, COLUMNS, n=1, cutoff=0.8)
        meant = _MEANT.get(plain) or (close[0] if close else None)
        if meant is not None and meant not in found:
            raise DatasetError(
                f"unknown column {name!r}", where=str(path), allowed=COLUMNS, hint=f"did you mean {meant!r}? rename it"
            )
    if "image_path" not in found:
        raise DatasetError(
            f"no column 'image_path'; found: {', '.join(sorted(found))}", where=str(path), allowed=COLUMNS
        )


class _Builder:
    """Turns rows into samples and keeps what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._base = path.parent
        self._absolute = os.path.abspath(path.parent)
        self._faults: list[str] = []
        self._lines: dict[str, int] = {}
        self._samples: list[Sample] = []
        self._folders: dict[str, frozenset[str]] = {}

    def add(self, line: int, row: Mapping[str, Any]) -> None:
        """Take one row."""
        try:
            sample = self._sample(row)
        except ValueError as error:
            self._faults.append(f"line {line}: {error}")
            return
        if sample.id in self._lines:
            self._faults.append(f"line {line}: {sample.id} is listed in line {self._lines[sample.id]} already")
            return
        self._lines[sample.id] = line
        self._samples.append(sample)

    def samples(self) -> Samples:
        """Return the samples, or raise for all faulty lines at once."""
        without = [sample.id for sample in self._samples if sample.split is None]
        if without and len(without) < len(self._samples):
            self._faults.append(f"{len(without)} images have no split, the others do: {', '.join(without[:3])}")
        if self._faults:
            shown = "; ".join(self._faults[:_SHOWN])
            more = f"; and {len(self._faults) - _SHOWN} more" if len(self._faults) > _SHOWN else ""
            raise DatasetError(shown + more, where=str(self._path))
        return Samples(
            self._base,
            tuple(sorted(self._samples, key=lambda sample: sample.id)),
            (f"{len(self._samples)} images are listed in {self._path.name}.",),
        )

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        image = row.get("image_path")
        if not isinstance(image, str) or not image:
            raise ValueError("image_path is empty" if not image else f"image_path is {image!r}, not text")
        masks = row.get("mask_path") or []
        masks = [masks] if isinstance(masks, str) else masks
        if not isinstance(masks, list) or not all(isinstance(mask, str) and mask for mask in masks):
            raise ValueError(f"mask_path is {row['mask_path']!r}, not a path or a list of paths")
        image, masks = self._here(image), [self._here(mask) for mask in masks]
        defect = _text(row, "defect")
        label = _label(row.get("label"))
        if label == 0 and defect is not None:
            raise ValueError(f"label says good, defect says {defect!r}")
        label = 1 if label is None and defect is not None else label
        return Sample(
            id=self._id(image),
            source=self._existing(image),
            split=_split(row.get("split")),
            label=label,
            category=_text(row, "category"),
            defect=defect,
            masks=tuple(self._existing(mask) for mask in masks),
            group=_text(row, "group"),
            meta={name: value for name, value in row.items() if name not in COLUMNS},
        )

    def _here(self, name: str) -> str:
        r"""Return a path as this system writes it: ``good\1.png``, written on Windows, is ``good/1.png``."""
        if os.sep == "/" and "\\" in name and not os.path.lexists(os.path.join(self._base, name)):
            return name.replace("\\", "/")
        return name

    def _id(self, image: str) -> str:
        if os.path.isabs(image):
            try:
                image = os.path.relpath(image, self._absolute)
            except ValueError:  # another drive: there is no relative path
                return Path(image).as_posix()
        return Path(os.path.normpath(image)).as_posix()

    def _existing(self, name: str) -> Path:
        """Return the path of a file that exists; asked folder by folder, since many single questions take long."""
        path = os.path.join(self._base, name)
        folder, base = os.path.split(path)
        if folder not in self._folders:
            try:
                with os.scandir(folder or ".") as entries:
                    self._folders[folder] = frozenset(entry.name for entry in entries if entry.is_file())
            except OSError:
                self._folders[folder] = frozenset()
        # The file system may compare names by other rules than ours (case, Unicode form): it has the last word.
        if base not in self._folders[folder] and not os.path.isfile(path):
            raise ValueError(f"{name} does not exist")
        return Path(path)


def _text(row: Mapping[str, Any], name: str) -> Optional[str]:
    value = row.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{name} is {value!r}, not text")


def _label(value: Any) -> Optional[int]:
    if value is None or value == "":
        return None
    plain = str(int(value)) if isinstance(value, (bool, int, float)) and value in (0, 1) else str(value).strip().lower()
    if plain in _GOOD:
        return 0
    if plain in _DEFECTIVE:
        return 1
    raise ValueError(
        f"label {value!r} is neither good (0, good, normal, ok) nor defective (1, defective, anomaly, bad, ko, ng); "
        "the type of a defect goes into the column 'defect'"
    )


def _split(value: Any) -> Optional[str]:
    if value is None or value == "":
        return None
    split = _SPLITS.get(str(value).strip().lower())
    if split is None:
        raise ValueError(f"split {value!r} is none of train, validation, test")
    return split


def _only(samples: Samples, categories: Sequence[str], path: Path) -> Samples:
    known = samples.categories()
    for name in categories:
        if name not in known:
            raise DatasetError(
                f"no category {name!r}",
                where=str(path),
                allowed=", ".join(known) or "none: the manifest has no column 'category'",
                hint=unknown_name_hint(name, known),
            )
    kept = tuple(sample for sample in samples.samples if sample.category in categories)
    return Samples(samples.root, kept, samples.notes)
