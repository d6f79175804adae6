"""``pyimgano bundle run``: the outputs of ``infer``, and not one record lost or doubled by a kill. 30 s."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pyimgano.cli.main import main
from pyimgano.core.errors import ConfigError, RunError
from pyimgano.workbench.inference.resumable import ResumableOutput
from pyimgano.workbench.inference.sinks import parse_destination
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.records import PredictionRecord, read_records

SLOWED = """
import sys, time
from pyimgano.workbench.bundle import graph_detector

right = graph_detector.GraphDetector._run_one


def slow(self, image):
    time.sleep(0.02)
    return right(self, image)


graph_detector.GraphDetector._run_one = slow
from pyimgano.cli.main import main

sys.exit(main(sys.argv[1:]))
"""


def run(*arguments: Any) -> int:
    return main(["-q", "bundle", "run", *map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def images(texture_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All test images of a category, three times, and one that is damaged."""
    folder = tmp_path_factory.mktemp("to-score")
    for count in range(3):
        shutil.copytree(texture_images / "brick" / "test", folder / f"lot {count}")
    (folder / "lot 1" / "damaged.png").write_bytes(b"no image")
    return folder


# -- as infer ----------------------------------------------------------------------------------------------------------


def test_records_and_pictures_are_those_that_infer_makes_with_the_run(
    graph_bundle: Path, graph_run: Path, images: Path, tmp_path: Path
) -> None:
    options = ("--category", "brick", "--maps", "--masks", "--overlays", "--max-errors", "1")
    some = images / "lot 1"
    assert run(graph_bundle, some, "-o", tmp_path / "bundle", *options) == 0
    arguments = ["-q", "infer", "--from-run", graph_run, some, "-o", tmp_path / "run", *options]
    assert main(list(map(str, arguments))) == 0
    ours, theirs = (read_records(tmp_path / name / "predictions.jsonl") for name in ("bundle", "run"))
    assert len(ours) == 37
    for own, other in zip(ours, theirs):
        assert (own.image, own.category, own.decision, own.error) == (
            other.image,
            other.category,
            other.decision,
            other.error,
        )
        assert (own.map, own.mask, own.overlay) == (other.map, other.mask, other.overlay)
        assert own.score == (None if other.score is None else pytest.approx(other.score, rel=1e-4))
    files = contents(tmp_path / "bundle")
    assert set(files) == set(contents(tmp_path / "run"))
    assert len(files) == 1 + 3 * 36
    assert not (tmp_path / "bundle.partial").exists()


def test_files_csv_and_stdout_say_the_same(
    graph_bundle: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (graph_bundle, images / "lot 0", "--category", "brick")
    assert run(*arguments) == 0
    lines = capsys.readouterr().out
    assert run(*arguments, "-o", tmp_path / "a.jsonl", "--json", "--batch-size", "3") == 0
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == lines
    summary = json.loads(capsys.readouterr().out)
    assert (summary["images"], summary["errors"]) == (36, 0)
    assert run(*arguments, "-o", tmp_path / "a.csv") == 0
    assert run(*arguments, "--format", "csv") == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "a.csv").read_text(encoding="utf-8-sig") == printed
    assert len(printed.splitlines()) == 37
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", "a.csv"}


def test_too_many_unreadable_images_end_with_four_and_a_complete_output(
    graph_bundle: Path, images: Path, tmp_path: Path
) -> None:
    assert run(graph_bundle, images / "lot 1", "--category", "brick", "-o", tmp_path / "a.jsonl") == 4
    assert sum(record.error is not None for record in read_records(tmp_path / "a.jsonl")) == 1


def test_options_that_exclude_each_other_are_refused(graph_bundle: Path, images: Path, tmp_path: Path) -> None:
    arguments = (graph_bundle, images, "--category", "brick")
    assert run(*arguments, "--resume") == 2
    assert run(*arguments, "-o", tmp_path / "a", "--resume", "--force") == 2
    assert run(*arguments, "-o", tmp_path / "a.jsonl", "--maps") == 2
    assert run(*arguments, "--json") == 2
    assert run(graph_bundle, images, "-o", tmp_path / "a.jsonl") == 2  # which category?
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "a.jsonl.partial"])


# -- a kill ------------------------------------------------------------------------------------------------------------


def start(*arguments: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SLOWED, "-q", "bundle", "run", *map(str, arguments)]
    env = {**os.environ, "PYIMGANO_PLUGINS": "none"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)


def kill_after(lines: int, journal: Path, process: subprocess.Popen[bytes]) -> int:
    """Kill a process when its journal has so many lines, and return how many it has then."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if journal.is_file() and journal.read_bytes().count(b"\n") >= lines:
            process.kill()  # SIGKILL, TerminateProcess: nothing is tidied up
            process.wait()
            return journal.read_bytes().count(b"\n")
        time.sleep(0.005)
    process.kill()
    raise AssertionError("the process was not killed in the middle of its work")


@pytest.mark.parametrize("target", ["out.jsonl", "out.csv", "pictures"])
def test_after_kills_it_goes_on_without_losing_or_doubling_a_record(
    graph_bundle: Path, images: Path, tmp_path: Path, target: str
) -> None:
    pictures = ("--masks", "--maps") if target == "pictures" else ()
    options = ("--category", "brick", "--max-errors", "1", *pictures)
    (tmp_path / "whole").mkdir()
    assert run(graph_bundle, images, "-o", tmp_path / "whole" / target, *options) == 0
    partial = tmp_path / f"{target}.partial"
    seen = 0
    for lines in (5, 40):
        process = start(graph_bundle, images, "-o", tmp_path / target, "--resume", *options)
        seen = kill_after(lines, partial / "predictions.jsonl", process)
        assert 0 < seen < 109
        assert not (tmp_path / target).exists()
    with open(partial / "predictions.jsonl", "ab") as stream:
        stream.write(b'{"image":"torn')  # what a power cut leaves of the next line
    if pictures:
        (partial / "masks" / ".000041_x.png.abc.part").write_bytes(b"torn")
    assert run(graph_bundle, images, "-o", tmp_path / target, *options) == 2  # neither --resume nor --force
    assert run(graph_bundle, images, "-o", tmp_path / target, "--resume", *options) == 0
    assert not partial.exists()
    if pictures:
        assert contents(tmp_path / target) == contents(tmp_path / "whole" / target)
    else:
        assert (tmp_path / target).read_bytes() == (tmp_path / "whole" / target).read_bytes()


def test_only_the_same_work_goes_on(
    graph_bundle: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = shutil.copytree(images, tmp_path / "images")
    output = tmp_path / "out.jsonl"
    arguments = (graph_bundle, work, "-o", output, "--category", "brick", "--max-errors", "1")
    process = start(*arguments)
    seen = kill_after(3, tmp_path / "out.jsonl.partial" / "predictions.jsonl", process)
    assert run(*arguments, "--resume", "--no-regions") == 2
    assert "begun with another regions" in capsys.readouterr().err
    first = sorted((work / "lot 0").rglob("*.png"))[0]
    kept = first.read_bytes()
    first.unlink()
    assert run(*arguments, "--resume") == 2
    told = capsys.readouterr().err
    assert "image 0 was" in told
    assert first.name in told
    first.write_bytes(kept)
    assert run(*arguments, "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 109
    assert len({record.image for record in read_records(output)}) == 109 > seen
    assert run(*arguments, "--resume") == 0  # nothing unfinished: anew
    assert len(read_records(output)) == 109


# -- the journal -------------------------------------------------------------------------------------------------------


def journal(path: Path, *, resume: bool = True, **asked: Any) -> ResumableOutput:
    return ResumableOutput(parse_destination(path, None), asked, resume=resume)


def sources(count: int) -> Any:
    return iter([Source(f"{index}.png", Path(f"{index}.png")) for index in range(count)])


def interrupted(path: Path, count: int) -> Path:
    """Leave an output unfinished, and return its journal."""
    output = journal(path)
    output.__enter__()
    assert list(output.skip(sources(9))) == []
    for index in range(count):
        output.write(PredictionRecord(f"{index}.png", score=float(index)))
    output.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    return path.with_name(path.name + ".partial") / "predictions.jsonl"


@pytest.mark.parametrize(
    ("tail", "left"),
    [(b"", 3), (b'{"image":"3.png"', 3), (b'{"image":"3.png"}\n{"ima', 4), (bytes(4096), 3), (bytes(9) + b"\n", 3)],
)
def test_what_is_torn_is_cut_off(tmp_path: Path, tail: bytes, left: int) -> None:
    lines = interrupted(tmp_path / "a.jsonl", 3)
    with open(lines, "ab") as stream:
        stream.write(tail)
    with journal(tmp_path / "a.jsonl") as output:
        upcoming = sources(6)
        assert [record.image for record in output.skip(upcoming)] == [f"{index}.png" for index in range(left)]
        for source in upcoming:
            output.write(PredictionRecord(source.name, score=0.0))
    assert [record.image for record in read_records(tmp_path / "a.jsonl")] == [f"{index}.png" for index in range(6)]


def test_two_processes_do_not_write_one_output(tmp_path: Path) -> None:
    with journal(tmp_path / "a.jsonl") as output:
        list(output.skip(sources(0)))
        with pytest.raises(RunError, match="another process is writing"), journal(tmp_path / "a.jsonl"):
            pass


def test_a_process_that_died_after_the_last_step_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    lines = interrupted(tmp_path / "a.jsonl", 3)
    lines.rename(tmp_path / "a.jsonl")
    with journal(tmp_path / "a.jsonl", resume=False) as output:
        assert list(output.skip(sources(3))) == []
        output.write(PredictionRecord("0.png", score=1.0))
    assert len(read_records(tmp_path / "a.jsonl")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl"}


def test_an_unfinished_output_is_neither_overwritten_nor_gone_on_with_unasked(tmp_path: Path) -> None:
    lines = interrupted(tmp_path / "a.jsonl", 3)
    with pytest.raises(ConfigError, match="--resume") as caught:
        journal(tmp_path / "a.jsonl", resume=False)
    assert "--resume" in str(caught.value)
    with pytest.raises(ConfigError, match="another bundle"):
        journal(tmp_path / "a.jsonl", bundle="other")
    assert len(lines.read_bytes().splitlines()) == 3
