"""VisA as it is downloaded, with its split CSV, and as its authors' script prepares it."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.names import unknown_name_hint
from pyimgano.datasets.listing import Omissions, list_folder
from pyimgano.datasets.tree import TreeReading, find_categories

__all__ = ["VisAReader"]

HEADER = ("object", "split", "label", "image", "mask")
SPLIT_CSV = ("1cls.csv", "2cls_highshot.csv", "2cls_fewshot.csv")
"""The split files, the one-class protocol first."""
LAYOUT = (
    "<object>/Data/Images/{Normal,Anomaly}/* with split_csv/1cls.csv (columns object,split,label,image,mask), "
    "or 1cls/<object>/{train,test}/{good,bad}/*"
)


class VisAReader:
    """Reads VisA; ``root`` is the dataset, one of its split CSV files, or a prepared folder.

    The one-class split (``split_csv/1cls.csv``, prepared: ``1cls``) is taken where several are there. Raw masks hold
    class ids: everything that is not 0 is defect.
    """

    def detect(self, root: Path) -> Optional[str]:
        """Return which form of VisA ``root`` has, or None."""
        base, table = _find_table(root)
        if table is not None:
            return f"{table.relative_to(base).as_posix()} with the columns {','.join(HEADER)}"
        if not root.is_dir():
            return None
        objects = _raw_objects(root)
        if objects:
            return f"{objects[0]}/Data/Images/Normal, without a split CSV"
        listing = list_folder(os.fspath(root), omissions=Omissions())
        if "1cls" in listing.folders and find_categories(os.fspath(root / "1cls"), omissions=Omissions()):
            return "1cls/<object>/train, as prepared by the dataset's own script"
        return None

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples below ``root``.

        Raises
        ------
        DatasetError
            When neither form is found, a listed file is missing, or a wanted object is.
        """
        base, table = _find_table(root)
        if table is not None:
            return _read_table(base, table, categories)
        if root.is_dir() and _raw_objects(root):
            return _read_raw(root, categories)
        return _read_prepared(root, categories)


def _find_table(root: Path) -> tuple[Path, Optional[Path]]:
    """Return the folder that the CSV's paths are relative to, and the CSV (None when there is none)."""
    if root.is_file():
        is_table = root.suffix.lower() == ".csv" and _header(root) == HEADER
        base = root.parent.parent if root.parent.name == "split_csv" else root.parent
        return base, root if is_table else None
    for name in SPLIT_CSV:
        table = root / "split_csv" / name
        if table.is_file() and _header(table) == HEADER:
            return root, table
    return root, None


def _header(path: Path) -> tuple[str, ...]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return tuple(name.strip() for name in next(csv.reader(stream), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()


def _raw_objects(root: Path) -> list[str]:
    folders = list_folder(os.fspath(root), omissions=Omissions()).folders
    return [name for name in folders if (root / name / "Data" / "Images" / "Normal").is_dir()]


def _choose(known: Sequence[str], wanted: Optional[Sequence[str]], where: str) -> set[str]:
    for name in wanted or ():
        if name not in known:
            hint = unknown_name_hint(name, known)
            raise DatasetError(f"no object {name!r}", where=where, allowed=sorted(known), hint=hint)
    return set(known if wanted is None else wanted)


class _Files:
    """Which files exist, asked folder by folder, since a hundred thousand single questions take long."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._names: dict[str, dict[str, str]] = {}

    def find(self, relative: str) -> Optional[str]:
        """Return the path as it is on disk: the case of the name may differ from the one that is asked for."""
        folder, name = os.path.split(relative)
        if folder not in self._names:
            try:
                names = os.listdir(self._base / folder)
            except OSError:
                names = []
            self._names[folder] = {**{item.lower(): item for item in sorted(names)}, **{item: item for item in names}}
        found = self._names[folder].get(name) or self._names[folder].get(name.lower())
        return f"{folder}/{found}" if found else None

    def count(self, folder: str) -> int:
        """Return the number of images in a folder."""
        path = self._base / folder
        return len(list_folder(os.fspath(path), omissions=Omissions()).images) if path.is_dir() else 0


def _read_table(base: Path, table: Path, categories: Optional[Sequence[str]]) -> Samples:
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        with open(table, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            next(reader)
            for cells in reader:
                if any(cells):
                    padded = [cell.strip() for cell in cells] + [""] * len(HEADER)
                    rows.append((reader.line_num, dict(zip(HEADER, padded))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read the split file: {error}", where=str(table)) from error
    chosen = _choose(sorted({row["object"] for _, row in rows}), categories, str(table))
    files = _Files(base)
    samples: list[Sample] = []
    missing: list[str] = []
    for line, row in rows:
        if row["object"] not in chosen:
            continue
        where = f"{table}:{line}"
        if row["split"] not in ("train", "test"):
            raise DatasetError(f"split {row['split']!r}", where=where, allowed="train, test")
        if row["label"] not in ("normal", "anomaly"):
            raise DatasetError(f"label {row['label']!r}", where=where, allowed="normal, anomaly")
        defective = row["label"] == "anomaly"
        image = files.find(row["image"])
        mask = files.find(row["mask"]) if row["mask"] and defective else None
        if image is None:
            missing.append(row["image"])
            continue
        if row["mask"] and defective and mask is None:
            missing.append(row["mask"])
        samples.append(
            Sample(
                id=image,
                source=base / image,
                split=row["split"],
                label=int(defective),
                category=row["object"],
                defect="anomaly" if defective else None,
                masks=(base / mask,) if mask else (),
            )
        )
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise DatasetError(
            f"{len(missing)} listed files are missing: {shown}",
            where=str(table),
            hint="copy the dataset again, or choose the objects that are complete with categories",
        )
    _require_good(samples, chosen, str(table))
    notes = [f"The split is that of {table.relative_to(base).as_posix()}."]
    listed = {sample.id for sample in samples}
    for name in sorted(chosen):
        on_disk = sum(files.count(f"{name}/Data/Images/{kind}") for kind in ("Normal", "Anomaly"))
        in_table = sum(1 for item in listed if item.startswith(f"{name}/Data/Images/"))
        if on_disk > in_table:
            notes.append(f"Left out, not in the split file: {on_disk - in_table} images of {name}.")
    return Samples(base, tuple(sorted(samples, key=lambda sample: sample.id)), tuple(notes))


def _require_good(samples: Sequence[Sample], names: set[str], where: str) -> None:
    trained = {sample.category for sample in samples if sample.split in ("train", None) and sample.label == 0}
    empty = sorted(names - {name for name in trained if name is not None})
    if empty:
        raise DatasetError(f"object {empty[0]!r} has no good images to train on", where=where, allowed=LAYOUT)


def _read_raw(root: Path, categories: Optional[Sequence[str]]) -> Samples:
    """Read the raw form whose split CSV is missing: the folders give the labels, nothing gives a split."""
    objects = _raw_objects(root)
    chosen = _choose(objects, categories, os.fspath(root))
    reading = TreeReading(root)
    for name in sorted(chosen):
        for kind, label in (("Normal", 0), ("Anomaly", 1)):
            place = f"{name}/Data/Images/{kind}"
            if not (root / place).is_dir():
                continue
            for image in list_folder(os.fspath(root / place), omissions=reading.omissions, relative=place).images:
                found = reading.masks.find([f"{name}/Data/Masks/Anomaly"] * label, image, owner=f"{place}/{image}")
                reading.samples.append(
                    Sample(
                        id=f"{place}/{image}",
                        source=root / place / image,
                        label=label,
                        category=name,
                        defect="anomaly" if label else None,
                        masks=tuple(root / mask for mask in found),
                    )
                )
        orphans = reading.masks.unused(f"{name}/Data/Masks/Anomaly")
        reading.omissions.add("a mask without an image", *orphans)
    reading.notes.append("There is no split_csv/1cls.csv, so the dataset has no split of its own.")
    samples = reading.finish()
    _require_good(samples.samples, chosen, os.fspath(root))
    return samples


def _read_prepared(root: Path, categories: Optional[Sequence[str]]) -> Samples:
    reading = TreeReading(root)
    base = os.fspath(root)
    if root.is_dir() and (root / "1cls").is_dir():
        found = [
            type(category)(category.name, f"1cls/{category.relative}".rstrip("/"), category.listing)
            for category in find_categories(os.fspath(root / "1cls"), omissions=reading.omissions)
        ]
        reading.notes.append("The prepared one-class split, 1cls, is read.")
    else:
        found = find_categories(base, omissions=reading.omissions) if root.is_dir() else []
    if not found:
        raise DatasetError("neither raw nor prepared VisA", where=base, allowed=LAYOUT)
    for category in reading.choose(found, categories):
        reading.add_category(category)
    return reading.finish()
