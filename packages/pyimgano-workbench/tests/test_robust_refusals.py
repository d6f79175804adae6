"""What `pyimgano robust-benchmark` refuses: each with what is wrong, where, and what to type; nothing is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyimgano.cli.main import main
from pyimgano.core.files import dump_json, load_json


def robust(*arguments: object) -> int:
    try:
        return main(["robust-benchmark", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code", "messages"),
    [
        (("--drifts", "glar"), 2, ("unknown drift 'glar'", "did you mean 'glare'?", "pyimgano augment list")),
        (("--severities", "9"), 2, ("--severities: there is no severity 9", "1, 2, 3, 4, 5")),
        (("--severities", "1,x"), 2, ("--severities: '1,x'",)),
        (("--drifts", "glare,glare"), 2, ("--drifts: given twice: glare",)),
        (("--model", "patchcore"), 2, ("a finished run is tested as it is, so --model has no meaning",)),
        (("--compare", "nowhere"), 5, ("there is no such run",)),
    ],
)
def test_what_is_asked_wrongly_is_told_before_anything_is_measured(
    texture_runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    messages: tuple[str, ...],
) -> None:
    out = tmp_path / "out"
    given = ("--from-run", texture_runs["one"], "--limit", 2, "-o", out, *arguments)
    assert robust(*given) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    for message in messages:
        assert message in error
    assert not list(out.glob("conditions/*.json"))


def test_nothing_to_test_and_an_incomplete_run_are_errors(
    copied_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert robust("-o", tmp_path / "out") == 2
    assert "--from-run RUN" in capsys.readouterr().err
    run = copied_runs["one"]
    run.rename(run.with_name("one.incomplete"))
    assert robust("--from-run", run, "-o", tmp_path / "out") == 5
    assert "pyimgano train --resume" in capsys.readouterr().err


def test_an_output_folder_of_something_else_or_of_other_settings_is_refused(
    texture_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear", encoding="utf-8")
    ask = ("--drifts", "jpeg", "--severities", 1, "--limit", 4)
    assert robust("--from-run", texture_runs["one"], *ask, "-o", tmp_path / "letters") == 2
    assert "the folder holds something else: letter.txt" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["letter.txt"]
    out = tmp_path / "out"
    assert robust("--from-run", texture_runs["one"], *ask, "-o", out) == 0
    before = (out / "robustness.json").read_bytes()
    assert robust("--from-run", texture_runs["one"], *ask, "--seed", 3, "-o", out) == 2
    assert "holds results of other settings: seed 0, not 3" in capsys.readouterr().err
    assert robust("--from-run", texture_runs["fine"], *ask, "-o", out) == 2
    assert "the run 'one', not 'fine'" in capsys.readouterr().err
    assert (out / "robustness.json").read_bytes() == before


def test_a_damaged_condition_is_named(
    texture_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = (
        "--from-run",
        texture_runs["one"],
        "--drifts",
        "jpeg",
        "--severities",
        1,
        "--limit",
        4,
        "-o",
        tmp_path / "out",
    )
    assert robust(*ask) == 0
    file = tmp_path / "out" / "conditions" / "jpeg-1.json"
    record = load_json(file)
    record["categories"]["brick"]["scores"].pop()
    dump_json(record, file)
    assert robust(*ask) == 5
    error = capsys.readouterr().err
    assert "jpeg-1.json" in error
    assert "remove it" in error
    file.unlink()
    assert robust(*ask) == 0
