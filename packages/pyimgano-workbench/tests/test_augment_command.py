"""``pyimgano augment``: what it lists, the sheets it makes, and its errors. Takes a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyimgano.cli.main import main
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.augment.specs import AUGMENT


@pytest.fixture
def cell(cell_images: dict[str, list[np.ndarray]], tmp_path: Path) -> Path:
    write_png(cell_images["good"][0], tmp_path / "cell.png")
    return tmp_path / "cell.png"


def pyimgano(*arguments: Any) -> int:
    code: int = main([str(argument) for argument in ("augment", *arguments)])
    return code


def cells_of(sheet: Path, rows: int, columns: int, side: int) -> list[list[np.ndarray]]:
    """Return the pictures of a sheet; they stand at its right and lower ends."""
    image = read_image(sheet)
    step = side + 8
    down = (image.shape[0] - 8) // rows
    tops = [image.shape[0] - 8 - side - down * (rows - 1 - row) for row in range(rows)]
    lefts = [image.shape[1] - step * (columns - column) for column in range(columns)]
    return [[image[top : top + side, left : left + side] for left in lefts] for top in tops]


def test_the_drifts_are_listed_with_what_is_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert pyimgano("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {spec.name for spec in AUGMENT} <= {entry["name"] for entry in listed}
    assert all(entry["kind"] == "augment" and entry["summary"] for entry in listed)
    assert pyimgano("list", "--names", "--tag", "optics") == 0
    assert capsys.readouterr().out.split() == ["defocus", "motion-blur"]
    assert pyimgano("list", "--tag", "optic") == 2
    assert "allowed: geometry, light, optics, sensor, surface" in capsys.readouterr().err


def test_a_sheet_has_a_row_for_each_drift_and_a_column_for_each_severity(
    cell: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    options = ("--drifts", "exposure,glare", "--severities", "1,3,5", "--cell", "64")
    assert pyimgano("preview", cell, *options, "--output", sheet) == 0
    source = read_image(cell).astype(int)
    for row in cells_of(sheet, 2, 4, 64):
        assert np.array_equal(row[0], source)  # 64 pixels wide, as the cells of the sheet
        changes = [np.abs(picture - source).mean() for picture in row]
        assert changes == sorted(changes)
        assert changes[1] > 0
    once = sheet.read_bytes()
    capsys.readouterr()
    assert pyimgano("preview", cell, *options, "--output", sheet, "--json") == 0
    shown = {"sheet": str(sheet), "images": [str(cell)], "drifts": ["exposure", "glare"], "severities": [1, 3, 5]}
    assert json.loads(capsys.readouterr().out) == shown
    assert sheet.read_bytes() == once
    assert pyimgano("preview", cell, *options, "--output", sheet, "--seed", "1") == 0
    assert sheet.read_bytes() != once


def test_a_mask_is_outlined_where_the_drift_moves_it(cell: Path, tmp_path: Path) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:40, 20:40] = 255
    write_png(mask, tmp_path / "mask.png")
    sheet = tmp_path / "sheet.png"
    options = ("--drifts", "shift", "--severities", "5", "--cell", "64", "--mask", tmp_path / "mask.png")
    assert pyimgano("preview", cell, *options, "-o", sheet) == 0
    ((before, after),) = cells_of(sheet, 1, 2, 64)
    places = [np.argwhere((one[..., 0] > 200) & (one[..., 1] < 100)).mean(axis=0) for one in (before, after)]
    assert places[0] == pytest.approx([29.5, 29.5], abs=0.6)
    assert np.hypot(*(places[1] - places[0])) == pytest.approx(0.12 * 64, abs=1)


def test_all_drifts_are_shown_of_several_images(cell: Path, tmp_path: Path) -> None:
    assert pyimgano("preview", cell, cell, "--severities", "2", "--cell", "16", "-o", tmp_path / "sheet.png") == 0
    assert read_image(tmp_path / "sheet.png").shape[0] == 8 + 2 * len(AUGMENT) * (20 + 16 + 8)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--drifts", "glaer"), 2, "did you mean 'glare'?"),
        (("--severities", "9"), 2, "severity = 9\nallowed: 1, 2, 3, 4, 5"),
        (("--severities", "strong"), 2, "numbers of 1 to 5"),
        (("--output", "sheet.jpg"), 2, "ends in .png"),
        (("--mask", "a.png", "--mask", "b.png"), 2, "2 masks for 1 images"),
        (("--mask", "a.png"), 4, "a.png: cannot read"),
        (("--output", "nowhere/sheet.png"), 74, "nowhere"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(
    cell: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(cell.parent)
    assert pyimgano("preview", "cell.png", "--output", "sheet.png", *options) == code
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert not (cell.parent / "sheet.png").exists()
