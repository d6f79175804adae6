"""`pyimgano bundle watch`, in processes of its own, too: what arrives is recorded and moved once. About 30 s."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from pyimgano.core.files import sha256_file
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.inference.inspecting import Inspector
from pyimgano.workbench.inference.opening import open_models
from pyimgano.workbench.monitor import DriftSettings
from pyimgano.workbench.monitor.monitors import DriftMonitors
from pyimgano.workbench.records import read_records
from pyimgano.workbench.watch import HotFolder, WatchSettings
from pyimgano.workbench.watch.arrivals import Arrival, Settling, list_arrivals
from pyimgano.workbench.watch.patience import Patience, Stopped

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals, links and pipes as on POSIX")
PROGRAM = (sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())", "bundle", "watch")


@pytest.fixture(scope="module")
def run(texture_runs: dict[str, Path]) -> Path:
    return texture_runs["one"]


@pytest.fixture(scope="module")
def images(run: Path) -> list[Path]:
    return sorted((run.parents[1] / "textures" / "brick" / "test").rglob("*.png"))


class Line:
    """A hot folder with its neighbours."""

    def __init__(self, root: Path, run: Path) -> None:
        self.run = run
        self.into, self.done, self.failed = root / "in", root / "done", root / "failed"
        self.records = root / "records.jsonl"
        self.into.mkdir()

    def command(self, *more: object) -> list[str]:
        places = (self.run, self.into, "--done", self.done, "--failed", self.failed, "-o", self.records)
        return [*PROGRAM, *map(str, (*places, "--settle", 0.2, "--poll", 0.05, *more))]

    def watch(self, *more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*more), capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )

    def watched(self, *, tell: Callable[[str], None] = lambda text: None, **settings: object) -> HotFolder:
        fields = {"settle": 0.0, "poll": 0.02, "once": True, **settings}
        places = WatchSettings(self.into, self.done, self.failed, self.records, **fields)
        return HotFolder(Inspector(open_models(self.run)), places, tell=tell)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.records.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def line(tmp_path: Path, run: Path) -> Line:
    return Line(tmp_path, run)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@POSIX
def test_what_arrives_is_recorded_and_moved_and_what_is_no_image_fails(line: Line, images: Sequence[Path]) -> None:
    for number, path in enumerate(images[:6]):
        shutil.copy(path, line.into / f"{number}.png")
    (line.into / "empty.png").touch()
    (line.into / "torn.png").write_bytes(images[0].read_bytes()[:3000])
    (line.into / "folder.png").mkdir()
    (line.into / "text.jpg").write_text("no image\n" * 100)
    (line.into / "link.png").symlink_to(images[0])
    os.mkfifo(line.into / "pipe.png")  # opening it would hang for ever
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (line.into / "bomb.png").write_bytes(bomb + images[0].read_bytes()[33:])
    (line.into / "notes.txt").write_text("stays")
    (line.into / ".hidden.png").write_bytes(b"stays")
    digest = sha256_file(line.into / "3.png")
    done = line.watch("--once")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "13 images: " in done.stderr
    assert "7 unscored" in done.stderr
    assert names(line.into) == [".hidden.png", "notes.txt"]
    assert names(line.done) == [f"{number}.png" for number in range(6)]
    bad = ["bomb.png", "empty.png", "folder.png", "link.png", "pipe.png", "text.jpg", "torn.png"]
    assert names(line.failed) == bad
    found = {record["image"]: record for record in line.lines()}
    assert sorted(found) == sorted([*bad, *names(line.done)])
    assert len(line.lines()) == 13
    for name in bad:
        assert not {"score", "decision", "p_value"} & found[name].keys()
    assert "claims 60000×60000 pixels" in found["bomb.png"]["error"]
    assert found["empty.png"]["error"] == "ImageError: the file is empty"
    assert found["folder.png"]["error"] == "ImageError: is not a file"
    assert found["3.png"]["sha256"] == digest == sha256_file(line.done / "3.png")
    read_records(line.records)


@POSIX
def test_scores_are_those_of_infer_to_the_last_bit(line: Line, images: Sequence[Path], tmp_path: Path) -> None:
    from pyimgano.cli.main import main

    for number, path in enumerate(images):
        shutil.copy(path, line.into / f"{number:03d}.png")
    before = Path(shutil.copytree(line.into, tmp_path / "copy"))
    line.watched().run()
    assert main(["--quiet", "infer", "--from-run", str(line.run), str(before), "-o", str(tmp_path / "i.jsonl")]) == 0
    expected = {Path(record.image).name: record for record in read_records(tmp_path / "i.jsonl")}
    found = {record.image: record for record in read_records(line.records)}
    assert found.keys() == expected.keys()
    for name, record in found.items():
        for field in ("score", "threshold", "decision", "p_value", "regions", "category"):
            assert getattr(record, field) == getattr(expected[name], field), (name, field)


def test_a_name_that_is_taken_gets_a_number(line: Line, images: Sequence[Path]) -> None:
    for number in range(3):
        shutil.copy(images[number], line.into / "same.png")
        line.watched().run()
    assert names(line.done) == ["same-2.png", "same-3.png", "same.png"]
    assert [record["image"] for record in line.lines()] == ["same.png"] * 3
    kept = [sha256_file(line.done / name) for name in ("same.png", "same-2.png", "same-3.png")]
    assert kept == [record["sha256"] for record in line.lines()] == [sha256_file(path) for path in images[:3]]


def test_an_image_settles_only_when_it_has_not_changed_for_long_enough() -> None:
    settling = Settling(1.0)
    first, grown = Arrival("a.png", 10, 5), Arrival("a.png", 20, 6)
    assert settling.update([first], 0.0) == []
    assert settling.update([first], 0.9) == []
    assert settling.update([grown], 1.1) == []  # it grew: the time begins anew
    assert settling.update([grown], 2.0) == []
    assert settling.update([grown], 2.1) == [grown]
    touched = Arrival("a.png", 20, 7)
    assert settling.update([touched], 5.0) == []
    assert settling.update([], 5.5) == []
    assert settling.update([touched], 6.5) == []  # it was gone in between
    settling.forget("a.png")
    assert len(settling) == 0


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    for number, name in enumerate(("c.png", "a.png", "b.png")):
        (tmp_path / name).write_bytes(b"x" * (number + 1))
        os.utime(tmp_path / name, ns=(1000 + number, 1000 + number))
    assert [(one.name, one.size) for one in list_arrivals(tmp_path)] == [("c.png", 1), ("a.png", 2), ("b.png", 3)]


def test_a_file_that_is_still_being_written_waits(line: Line, images: Sequence[Path]) -> None:
    content = images[0].read_bytes()
    watched = line.watched(settle=0.5, once=False)
    thread = threading.Thread(target=watched.run)
    with open(line.into / "slow.png", "wb") as stream:
        thread.start()
        step = len(content) // 8 + 1
        for start in range(0, len(content), step):
            stream.write(content[start : start + step])
            stream.flush()
            time.sleep(0.15)
            assert not line.records.exists() or line.lines() == []
    _until(lambda: line.records.read_bytes() != b"")
    watched.stop.set()
    thread.join()
    (record,) = line.lines()
    assert "score" in record


def test_a_file_that_vanishes_is_an_error_record(line: Line, images: Sequence[Path]) -> None:
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(images[0], line.into / name)
    watched = line.watched()
    listed = list_arrivals(line.into)
    watched._journal = journal = _journal(line)
    (line.into / "b.png").unlink()
    watched._take(journal, listed)
    journal.close()
    found = {record["image"]: record for record in line.lines()}
    assert found["b.png"]["error"].endswith("the file vanished before it was read")
    assert "score" in found["a.png"]
    assert "score" in found["c.png"]
    assert names(line.done) == ["a.png", "c.png"]
    assert names(line.failed) == []


def _journal(line: Line):
    from pyimgano.workbench.watch.journal import Journal

    return Journal(line.records)


def test_a_folder_that_goes_away_is_waited_for(line: Line, images: Sequence[Path]) -> None:
    told: list[str] = []
    watched = line.watched(tell=told.append, once=False)
    thread = threading.Thread(target=watched.run)
    thread.start()
    shutil.copy(images[0], line.into / "a.png")
    _until(lambda: (line.done / "a.png").exists())
    away = line.into.rename(line.into.with_name("away"))
    _until(lambda: any("trying again" in text for text in told))
    shutil.copy(images[1], away / "b.png")
    away.rename(line.into)
    _until(lambda: (line.done / "b.png").exists())
    watched.stop.set()
    thread.join()
    assert [record["image"] for record in line.lines()] == ["a.png", "b.png"]
    assert sum("trying again" in text for text in told) == 1  # told once, however often it is tried
    assert any("is there again" in text for text in told)


def test_a_call_that_does_not_return_is_told_of_and_can_be_stopped() -> None:
    told: list[str] = []
    stop, answer = threading.Event(), threading.Event()
    patient = Patience(stop, told.append, slow=0.2)
    assert patient("a share", lambda: 7) == 7
    assert told == []
    threading.Timer(0.5, answer.set).start()
    assert patient("a share", lambda: answer.wait(20)) is True
    assert told[0] == "a share: no answer for 0.2 s; still waiting"
    assert told[1].startswith("a share: answered after")
    with pytest.raises(PermissionError):
        patient("a share", lambda: (_ for _ in ()).throw(PermissionError("no")))
    hangs = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Stopped):
        patient("a share", hangs.wait)
    hangs.set()


@POSIX
def test_records_on_a_full_disk_lose_no_image(line: Line, images: Sequence[Path], monkeypatch) -> None:
    from pyimgano.workbench.watch import appending

    shutil.copy(images[0], line.into / "a.png")
    told: list[str] = []
    failures = iter([1, 0, 1])  # the journal; then the records behind a written journal
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith((".journal", ".jsonl")) and next(failures, 0):
            raise OSError(28, "No space left on device")
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("tells files by /proc, which this system lacks")
    watched = line.watched(tell=told.append)
    monkeypatch.setattr(appending.os, "fsync", fsync)
    watched.run()
    monkeypatch.undo()
    assert any("No space left on device; trying again" in text for text in told)
    assert any("can be written again" in text for text in told)
    assert len(line.lines()) == 1
    assert names(line.done) == ["a.png"]


@POSIX
def test_an_image_that_cannot_be_moved_keeps_its_record_and_is_moved_later(
    line: Line, images: Sequence[Path], monkeypatch
) -> None:
    from pyimgano.workbench.watch import hot_folder

    shutil.copy(images[0], line.into / "a.png")
    told: list[str] = []
    real, tries = hot_folder.move_image, []

    def busy(source: Path, step) -> str:
        tries.append(source.name)
        if len(tries) < 4:
            raise PermissionError(13, "used by another program")
        return real(source, step)

    monkeypatch.setattr(hot_folder, "move_image", busy)
    watched = line.watched(tell=told.append, once=False)
    thread = threading.Thread(target=watched.run)
    thread.start()
    _until(lambda: (line.done / "a.png").exists())
    watched.stop.set()
    thread.join()
    assert len(line.lines()) == 1
    assert sum("cannot move a.png" in text for text in told) == 1


@POSIX
def test_another_file_system_is_copied_to_and_never_seen_half(line: Line, images: Sequence[Path], monkeypatch) -> None:
    from pyimgano.workbench.watch import moving

    real = os.link

    def link(source, target, **more) -> None:
        if Path(source).parent == line.into:
            raise OSError(18, "Invalid cross-device link")
        real(source, target, **more)

    monkeypatch.setattr(moving.os, "link", link)
    shutil.copy(images[0], line.into / "a.png")
    line.watched().run()
    assert names(line.done) == ["a.png"]
    assert names(line.into) == []
    assert sha256_file(line.done / "a.png") == sha256_file(images[0])


@POSIX
def test_a_second_watch_on_the_same_records_is_refused(line: Line) -> None:
    process = subprocess.Popen(line.command(), stderr=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        _until(lambda: line.records.exists())
        second = line.watch("--once")
        assert second.returncode == 5
        assert "another process writes these records" in second.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        process.stderr.close()


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_images_in_work(line: Line, images: Sequence[Path], number: int) -> None:
    for index, path in enumerate(images):
        shutil.copy(path, line.into / f"{index:03d}.png")
    with subprocess.Popen(line.command(), stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        _until(lambda: line.records.exists() and line.records.stat().st_size > 0)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err
    recorded = [record["image"] for record in line.lines()]
    assert len(recorded) == len(set(recorded))
    assert sorted(recorded) == names(line.done)
    assert line.watch("--once").returncode == 0
    recorded = [record["image"] for record in line.lines()]
    assert sorted(recorded) == names(line.done) == [f"{index:03d}.png" for index in range(len(images))]


def test_drift_is_told_and_logged(line: Line, images: Sequence[Path], tmp_path: Path) -> None:
    for number, path in enumerate(images[:24]):
        write_png((read_image(path) * 0.3).astype(np.uint8), line.into / f"{number:03d}.png")
    told: list[str] = []
    models = open_models(line.run)
    log = tmp_path / "drift.jsonl"
    places = WatchSettings(
        line.into, line.done, line.failed, line.records, settle=0.0, poll=0.02, once=True, drift_log=log
    )
    drift = DriftMonitors(models, DriftSettings(window=20))
    HotFolder(Inspector(models), places, tell=told.append, drift=drift).run()
    (report,) = [json.loads(text) for text in log.read_text(encoding="utf-8").splitlines()]
    assert report["drift"] is True
    assert report["category"] == "brick"
    assert any(one["name"] == "brightness" and one["drift"] for one in report["statistics"])
    (text,) = [text for text in told if text.startswith("drift in images")]
    assert "brightness: median" in text
    assert drift.state()["brick"]["gathered"] == 4


def test_places_that_cannot_be_are_refused_before_anything_is_loaded(line: Line, tmp_path: Path) -> None:
    for arguments, text in (
        ({"done": line.into}, "images would go where they came from"),
        ({"into": tmp_path / "none"}, "there is no such folder"),
        ({"records": tmp_path / "records.csv"}, "records are appended as JSONL"),
    ):
        changed = Line.__new__(Line)
        changed.__dict__.update(line.__dict__, **arguments)
        result = changed.watch("--once")
        assert result.returncode == 2
        assert text in result.stderr


def _until(met: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that another thread or process does; it is an error when it does not."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pyimgano-webhook")] == []
