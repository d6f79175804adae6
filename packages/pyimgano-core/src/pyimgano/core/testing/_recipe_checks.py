"""The recipe contract: what a run directory must hold, and that the same config gives the same bytes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from pyimgano.core.files import load_json

__all__ = ["check_recipe", "check_run_directory"]

_ABSOLUTE = re.compile(r'"(?:/(?:[\w.-]+/)+|[A-Za-z]:[\\/]|\\\\\\\\)')


def check_run_directory(run: Path) -> None:
    """Check a finished run directory.

    ``report.json``, ``config.json`` and ``environment.json`` are strict JSON with a ``schema_version``; every line of
    every ``per_image.jsonl`` is strict JSON with an ``image`` and either a finite score or an error; no artifact holds
    an absolute path; nothing half-written is left.

    Raises
    ------
    AssertionError
        With what is wrong and where.
    """
    assert run.is_dir(), f"{run} is not a directory"
    for name in ("report.json", "config.json", "environment.json"):
        record = load_json(run / name)
        assert isinstance(record, dict) and "schema_version" in record, f"{name} has no schema_version"
    for path in sorted(run.rglob("*")):
        assert not path.name.endswith((".part", ".incomplete")), f"half-written: {path.relative_to(run)}"
        if path.suffix == ".json":
            load_json(path)
        if path.suffix in (".json", ".jsonl"):
            match = _ABSOLUTE.search(path.read_text(encoding="utf-8"))
            assert match is None, f"{path.relative_to(run)} holds an absolute path: {match.group() if match else ''}…"
    for path in _per_image(run):
        for number, record in enumerate(_lines(path), start=1):
            place = f"{path.relative_to(run)}:{number}"
            assert isinstance(record, dict) and record.get("image"), f"{place} names no image"
            assert ("error" in record and record["error"]) != (record.get("score") is not None), (
                f"{place} needs a score or an error, and not both"
            )


def _per_image(run: Path) -> list[Path]:
    found = sorted(run.rglob("per_image.jsonl"))
    assert found, "the run has no per_image.jsonl"
    return found


def _lines(path: Path) -> Iterator[Any]:
    import json

    def refuse(name: str) -> None:
        raise AssertionError(f"{path.name} holds {name}, which is not JSON")

    with open(path, encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line, parse_constant=refuse)


def check_recipe(run_recipe: Callable[[Path], Path]) -> None:
    """Check a recipe by running it twice.

    Parameters
    ----------
    run_recipe : callable
        ``run_recipe(output_folder) -> run directory``: runs the recipe with one fixed config and seed, on data of the
        caller's choice.

    Raises
    ------
    AssertionError
        When a run directory is not in order (:func:`check_run_directory`), or the two runs' ``per_image.jsonl`` differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for name in ("first", "second"):
            output = Path(folder) / name
            output.mkdir()
            run = Path(run_recipe(output))
            assert output in run.parents, f"the recipe left its run in {run}, not below the folder it was given"
            check_run_directory(run)
            runs.append(run)
        first, second = ({p.relative_to(run): p.read_bytes() for p in _per_image(run)} for run in runs)
        assert first.keys() == second.keys(), f"the second run has other categories: {sorted(map(str, second))}"
        for path, content in first.items():
            assert content == second[path], f"{path} differs between two runs of the same config and seed"
