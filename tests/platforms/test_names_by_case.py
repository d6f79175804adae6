"""Names that differ in case only stay apart where a file system takes them for one (Windows, macOS). Takes 4 s."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pyimgano.workbench.bench import plan_cells
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.runs import RunDirectory, directory
from pyimgano.workbench.training import run_recipe

NOW = datetime(2031, 5, 6, tzinfo=timezone.utc)


def clashes(folder: Path) -> list[str]:
    """Return the paths below a folder of which another file system would make one."""
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    plain = [path.casefold() for path in paths]
    return [path for path in paths if plain.count(path.casefold()) > 1]


def test_a_run_of_categories_that_differ_in_case_can_be_copied_anywhere(parts: Path, tmp_path: Path) -> None:
    flags = {"dataset.root": parts, "model.name": "pixel-gaussian", "output.dir": tmp_path}
    settings = ["calibration.alpha=0.6", "output.overlays=true", "output.maps=true"]
    run = run_recipe(load_run_config(flags=flags, settings=settings))
    assert {run.category(name).path.is_dir() for name in ("Bolt", "bolt")} == {True}
    assert run.category("Bolt").path.name.casefold() != run.category("bolt").path.name.casefold()
    assert len(list(run.path.rglob("*.png"))) > 6
    assert clashes(run.path) == []


@pytest.mark.parametrize("chosen", [None, ["bolt"]])
def test_the_runs_of_a_benchmark_are_called_differently_whatever_is_chosen(
    parts: Path, tmp_path: Path, chosen: list[str] | None
) -> None:
    cells = plan_cells(tmp_path, models=["pixel-median"], categories=chosen, dataset=parts)
    names = {cell.category: str(cell.config.output.name) for cell in cells}
    assert list(names) == (chosen or ["Bolt", "bolt"])
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert names["bolt"] == "pixel-median__bolt%2__seed0"


def find(path: Path) -> Path:
    """Return the entry that a file system without case would find under a name."""
    if path.parent.is_dir():
        for entry in path.parent.iterdir():
            if entry.name.casefold() == path.name.casefold():
                return entry
    return path


def test_a_run_never_takes_the_folder_of_one_whose_name_differs_in_case(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str):  # type: ignore[no-untyped-def]
        return load_run_config(
            flags={"dataset.root": parts, "model.name": "pixel-median", "output.dir": tmp_path, "output.name": name}
        )

    exists, rename = Path.exists, os.rename

    def rename_without_case(source: Path, target: Path) -> None:
        taken = find(Path(target))
        if exists(taken) and any(taken.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))
        rename(source, taken)

    monkeypatch.setattr(Path, "exists", lambda path, **_: exists(find(path)))
    monkeypatch.setattr(directory.os, "rename", rename_without_case)
    first = RunDirectory.create(config("Night"), dataset="d", now=NOW)
    second = RunDirectory.create(config("night"), dataset="d", now=NOW)
    assert (first.path.name, second.path.name) == ("Night.incomplete", "night-2.incomplete")
    first.finish({"categories": []})
    third = RunDirectory.create(config("NIGHT"), dataset="d", now=NOW)
    assert (first.path.name, third.path.name) == ("Night", "NIGHT-3.incomplete")
