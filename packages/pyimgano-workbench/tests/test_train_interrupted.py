"""A killed process, a full disk, a read-only folder: nothing is half-written under a final name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from pyimgano.core.errors import RunError
from pyimgano.core.files import load_json
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.runs import RunDirectory, list_runs, open_run
from pyimgano.workbench.training import resume_run, run_recipe

SETTINGS = ("model.params.input_size=48", "calibration.alpha=0.2", "output.maps=true")

# Runs a config in a process of its own. `die` kills that process, as the system would, at the n-th time that something
# happens: a file or folder getting its final name, a folder being made, an image being decoded or scored.
CHILD = f"""
import os, signal, sys
data, runs, event, number = sys.argv[1:4] + [int(sys.argv[4])]
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.training import run_recipe
flags = {{"dataset.root": data, "output.dir": runs, "model.name": "pixel-gaussian"}}
config = load_run_config(settings={SETTINGS!r}, flags=flags)
count = 0
def die():
    global count
    count += 1
    if count == number:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
class Progress:
    def __init__(self): self.title = ""
    def note(self, text): pass
    def stage(self, title, total=None):
        import contextlib
        @contextlib.contextmanager
        def stage():
            yield lambda done: die() if event in title else None
        return stage()
if event.startswith("os."):
    sys.addaudithook(lambda name, args: die() if name == event else None)
run_recipe(config, progress=Progress())
print("finished after", count)
"""


@pytest.fixture
def cells(make_cells: Callable[..., Path], tmp_path: Path) -> Path:
    return make_cells(tmp_path / "cells", train=20, good=3, defective=3, categories=("left", "right"))


def config_of(cells: Path, runs: Path):
    return load_run_config(
        settings=SETTINGS, flags={"dataset.root": cells, "output.dir": runs, "model.name": "pixel-gaussian"}
    )


def content(run: RunDirectory) -> dict[str, bytes]:
    """Return the files that a run repeats to the byte."""
    kept = [*run.path.glob("categories/*/per_image.jsonl"), *run.path.glob("categories/*/maps/**/*.tiff")]
    kept += [*run.path.glob("checkpoints/*/state.safetensors"), *run.path.glob("artifacts/*")]
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in kept}


def killed(cells: Path, runs: Path, event: str, number: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(cells), str(runs), event, str(number)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def finish_what_is_left(runs: Path) -> RunDirectory | None:
    """Check that there is no run, or one that is marked incomplete; finish it."""
    found = list_runs(runs) if runs.is_dir() else []
    if not found:
        return None
    assert [info.state for info in found] == ["incomplete"]
    folder = runs / found[0].path
    assert folder.name.endswith(".incomplete")
    with pytest.raises(RunError, match="incomplete"):
        open_run(folder)
    return resume_run(folder)


@pytest.mark.parametrize(
    ("event", "number"),
    [
        ("left: check held-out", 1),
        ("left: fit", 7),
        ("left: calibrate", 2),
        ("left: test", 4),
        ("right: fit", 1),
        ("right: test", 6),
    ],
)
def test_a_run_killed_in_any_stage_is_finished_with_the_same_bytes(
    cells: Path, tmp_path: Path, event: str, number: int
) -> None:
    expected = content(run_recipe(config_of(cells, tmp_path / "expected")))
    done = killed(cells, tmp_path / "runs", event, number)
    assert done.returncode != 0, done.stdout
    run = finish_what_is_left(tmp_path / "runs")
    assert run is not None
    assert run.complete
    assert content(run) == expected


def test_a_run_killed_before_any_file_gets_its_name_is_none_or_is_finished_with_the_same_bytes(
    cells: Path, tmp_path: Path
) -> None:
    expected = content(run_recipe(config_of(cells, tmp_path / "expected")))
    number, outcomes = 1, []
    # Every second rename: a run has about thirty of them, and each try starts a process.
    while True:
        runs = tmp_path / f"runs{number}"
        done = killed(cells, runs, "os.rename", number)
        if done.returncode == 0:
            assert "finished after" in done.stdout
            break
        run = finish_what_is_left(runs)
        outcomes.append(run is not None)
        if run is not None:
            assert content(run) == expected, number
            assert not list(run.path.rglob("*.part")), number
        number += 2 if number < 4 else 4
    assert outcomes[0] is False  # killed before the run had its name: there is no run
    assert all(outcomes[2:])
    assert len(outcomes) >= 6


def test_resuming_does_not_fit_again_and_does_not_evaluate_again(cells: Path, tmp_path: Path) -> None:
    assert killed(cells, tmp_path / "runs", "right: test", 2).returncode != 0
    folder = next((tmp_path / "runs").glob("*.incomplete"))
    files = [*folder.glob("checkpoints/*/*"), *(folder / "categories/left").rglob("*")]
    before = {path.relative_to(folder): path.stat().st_mtime_ns for path in files if path.is_file()}
    assert len(before) > 8
    run = resume_run(folder)
    assert {path: (run.path / path).stat().st_mtime_ns for path in before} == before


def test_a_run_killed_before_its_last_name_only_gets_that_name(cells: Path, tmp_path: Path) -> None:
    run = run_recipe(config_of(cells, tmp_path / "runs"))
    left = run.path.with_name(run.path.name + ".incomplete")
    os.rename(run.path, left)
    shutil.move(str(cells), str(tmp_path / "gone"))  # nothing is read again
    assert resume_run(left).path == run.path


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(cells: Path, tmp_path: Path) -> None:
    notes: list[str] = []

    class Interrupting(Silent):
        def __init__(self, title: str) -> None:
            self.title = title

        def note(self, text: str) -> None:
            notes.append(text)

        def stage(self, title: str, total: int | None = None):  # type: ignore[override]
            if title == self.title:
                raise KeyboardInterrupt
            return super().stage(title, total)

    with pytest.raises(KeyboardInterrupt):
        run_recipe(config_of(cells, tmp_path / "runs"), progress=Interrupting("left: fit pixel-gaussian"))
    assert list((tmp_path / "runs").iterdir()) == []  # nothing was finished
    assert notes == []
    with pytest.raises(KeyboardInterrupt):
        run_recipe(config_of(cells, tmp_path / "runs"), progress=Interrupting("right: test"))
    (left,) = (tmp_path / "runs").iterdir()
    assert notes == [f'what is finished is kept; go on with: pyimgano train --resume "{left}"']
    assert resume_run(left).complete


def test_a_complete_run_cannot_be_resumed(cells: Path, tmp_path: Path) -> None:
    run = run_recipe(config_of(cells, tmp_path / "runs"))
    with pytest.raises(RunError, match="nothing to resume"):
        resume_run(run.path)


def test_training_images_that_changed_since_the_fit_are_noticed_on_resuming(cells: Path, tmp_path: Path) -> None:
    assert killed(cells, tmp_path / "runs", "left: test", 1).returncode != 0
    folder = next((tmp_path / "runs").glob("*.incomplete"))
    split = load_json(folder / "checkpoints/left/fit.json")
    assert split["n"] == 16
    images = sorted((cells / "left/train/good").iterdir())
    for one, other in zip(images[::2], images[1::2]):
        swap = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(swap)
    with pytest.raises(RunError, match="have changed since the detector was fitted"):
        resume_run(folder)
    assert folder.is_dir()


def test_a_changed_finished_category_is_noticed_on_resuming(cells: Path, tmp_path: Path) -> None:
    assert killed(cells, tmp_path / "runs", "right: test", 1).returncode != 0
    folder = next((tmp_path / "runs").glob("*.incomplete"))
    shutil.copy(cells / "right/test/crack/002.png", cells / "left/test/crack/999.png")
    with pytest.raises(RunError, match="have changed since the category was evaluated"):
        resume_run(folder)


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails as it does on a full disk, with an error
from pyimgano.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a process's files")
@pytest.mark.parametrize("size", [100, 60_000, 150_000], ids=["config", "checkpoint", "maps"])
def test_a_full_disk_is_a_plain_error_and_leaves_nothing_half_written(
    make_cells: Callable[..., Path], tmp_path: Path, size: int
) -> None:
    cells = make_cells(tmp_path / "cells", train=20, good=3, defective=20)
    runs = tmp_path / "runs"
    arguments = ["train", "--dataset", str(cells), "--model", "pixel-gaussian", "--output", str(runs)]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    command = [sys.executable, "-c", FULL_DISK, str(size), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    assert "cannot write: File too large" in done.stderr
    assert str(runs) in done.stderr
    assert not list(runs.rglob("*.part"))
    left = list_runs(runs)
    assert all(info.state == "incomplete" for info in left)
    for path in runs.rglob("*.json"):
        load_json(path)
    assert bool(left) == (size > 110_592)  # the size of the checkpoint
    if left:  # there is room again
        assert "pyimgano train --resume" in done.stderr
        expected = content(run_recipe(config_of(cells, tmp_path / "expected")))
        assert content(resume_run(runs / left[0].path)) == expected


READ_ONLY = """
import os, sys
from pyimgano.cli.main import main
first = main(sys.argv[2:] + ["--output", sys.argv[1] + "/writable"])  # loads all that is needed
assert first == 0, first
if os.geteuid() == 0:  # the superuser may write anywhere
    os.setegid(65534); os.seteuid(65534)
sys.exit(main(sys.argv[2:] + ["--output", sys.argv[1] + "/locked/runs"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders have other permissions on Windows")
def test_a_read_only_output_folder_is_a_plain_error(cells: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o555)
    for folder in (tmp_path, *tmp_path.parents):  # so that another user may look at it
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o555)
    arguments = ["train", "--dataset", str(cells), "--model", "pixel-gaussian", "--set", "calibration.alpha=0.2"]
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "cannot make the folder: Permission denied" in done.stderr
    assert "choose another place with --output DIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "locked").iterdir()) == []
