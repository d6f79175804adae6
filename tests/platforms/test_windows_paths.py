r"""What is written on Windows is read elsewhere: paths with ``/``, ``\`` understood, CRLF no different. Takes 1 s."""

from __future__ import annotations

import csv
import io
import json
import ntpath
import os
import types
from pathlib import Path, PureWindowsPath
from typing import Any, Callable

import pytest

from pyimgano.core.errors import DatasetError
from pyimgano.datasets import load_image, manifest, read_dataset, writing
from pyimgano.workbench.config import models

AsOnWindows = Callable[[Any], None]


@pytest.fixture
def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> AsOnWindows:
    """Give a module Windows' rules for paths; nothing of it may touch the disk then."""

    def change(module: Any) -> None:
        monkeypatch.setattr(module, "os", types.SimpleNamespace(path=ntpath, sep="\\", PathLike=object))
        monkeypatch.setattr(module, "Path", PureWindowsPath)

    return change


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"C:\lines\7\data", "../data"),
        (r"C:\lines\7\runs\r1\roi\mask.png", "r1/roi/mask.png"),
        (r"c:\LINES\7\data\über gut", "../data/über gut"),  # drives and names know no case there
        (r"D:\data", "D:/data"),  # no relative path leads to another drive
        (r"\\server\share\data", "//server/share/data"),
    ],
)
def test_paths_in_a_config_are_relative_with_slashes(as_on_windows: AsOnWindows, path: str, expected: str) -> None:
    as_on_windows(models)
    assert models.relative_path(path, r"C:\lines\7\runs") == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [(r"C:\set\good\1.png", "good/1.png"), (r"C:\other\1.png", "../other/1.png"), (r"E:\1.png", "E:/1.png")],
)
def test_paths_in_a_written_manifest_are_relative_with_slashes(
    as_on_windows: AsOnWindows, path: str, expected: str
) -> None:
    as_on_windows(writing)
    assert writing._relative(PureWindowsPath(path), PureWindowsPath(r"C:\set")) == expected


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (r"good\1.png", "good/1.png"),
        ("good/1.png", "good/1.png"),
        (r"C:\set\good\1.png", "good/1.png"),
        (r".\good\..\bad\1.png", "bad/1.png"),
        (r"E:\1.png", "E:/1.png"),
    ],
)
def test_an_image_is_called_the_same_on_every_system(as_on_windows: AsOnWindows, listed: str, expected: str) -> None:
    as_on_windows(manifest)
    builder = manifest._Builder(PureWindowsPath(r"C:\set\manifest.csv"))
    assert builder._id(builder._here(listed)) == expected


def test_a_manifest_that_was_made_on_windows_is_read_here(parts: Path, tmp_path: Path) -> None:
    text = (parts / "manifest.jsonl").read_text(encoding="utf-8")
    rows = [{**json.loads(line), "mask_path": None} for line in text.splitlines()]
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for row in rows:
        (tmp_path / "images" / "deep" / row["image_path"]).write_bytes((parts / row["image_path"]).read_bytes())
        row["image_path"] = f"images\\deep\\{row['image_path']}"
        row["mask_path"] = row["image_path"] if row["label"] == "defective" else None
    lines = "".join(json.dumps(row) + "\r\n" for row in rows)
    (tmp_path / "manifest.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    table = io.StringIO()
    writer = csv.DictWriter(table, ["image_path", "category", "split", "label", "defect", "mask_path"], delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    (tmp_path / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + table.getvalue().encode())
    here = read_dataset(parts)
    for made in ("manifest.jsonl", "manifest.csv"):
        there = read_dataset(tmp_path / made)
        assert [sample.id for sample in there.samples] == [f"images/deep/{sample.id}" for sample in here.samples]
        for sample, other in zip(here.samples, there.samples):
            assert (sample.label, sample.split, sample.category, sample.defect) == (
                (other.label, other.split, other.category, other.defect)
            )
            assert (load_image(other) == load_image(sample)).all()
            assert [mask.is_file() for mask in other.masks] == [True] * bool(other.label)


def test_a_backslash_that_belongs_to_a_name_stays_one(parts: Path, tmp_path: Path) -> None:
    if os.sep == "\\":
        pytest.skip("no name has a backslash on Windows")
    (tmp_path / "a\\b.png").write_bytes((parts / "00.png").read_bytes())
    (tmp_path / "list.csv").write_bytes(b"image_path\na\\b.png\n")
    assert [sample.id for sample in read_dataset(tmp_path / "list.csv").samples] == ["a\\b.png"]
    (tmp_path / "list.csv").write_bytes(b"image_path\nC:\\there\\b.png\n")
    with pytest.raises(DatasetError, match=r"line 2: C:/there/b.png does not exist"):
        read_dataset(tmp_path / "list.csv")
