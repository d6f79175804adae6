"""A watch that is killed with SIGKILL at every point of its way loses no record and writes none twice. About 40 s."""

from __future__ import annotations

import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyimgano.core.errors import RunError
from pyimgano.workbench.watch.journal import Journal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL and fork")

# Imports once and forks for every point: nothing that starts a thread runs before a fork.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
from pyimgano.workbench.inference.inspecting import Inspector
from pyimgano.workbench.inference.opening import open_models
from pyimgano.workbench.watch import HotFolder, WatchSettings, appending, moving
import cv2, numpy

run, root, images = Path(sys.argv[1]), Path(sys.argv[2]), [Path(text) for text in sys.argv[3:]]


def watch(folder, kill):
    def reached(point):
        seen[point] = seen.get(point, 0) + 1
        if (point, seen[point]) == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    seen = {}
    real_sync, real_link, real_unlink, real_append = os.fsync, os.link, os.unlink, appending.DurableLines.append

    def sync(descriptor):
        real_sync(descriptor)
        reached("fsync")

    def link(*arguments, **more):
        reached("before link")
        real_link(*arguments, **more)
        reached("link")

    def unlink(*arguments, **more):
        real_unlink(*arguments, **more)
        reached("unlink")

    def append(self, data):
        if data and kill == ("half a write", seen.get("writes", 0) + 1):
            self._stream.write(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        seen["writes"] = seen.get("writes", 0) + bool(data)
        real_append(self, data)

    os.fsync, os.link, os.unlink, appending.DurableLines.append = sync, link, unlink, append
    settings = WatchSettings(folder / "in", folder / "done", folder / "failed", folder / "records.jsonl",
                             settle=0.0, poll=0.02, once=True)
    told = []
    HotFolder(Inspector(open_models(run)), settings, tell=told.append).run()
    if kill == ("never", 0):
        print(json.dumps(told))
        sys.stdout.flush()


def forked(folder, kill):
    child = os.fork()
    if child == 0:
        code = 3
        try:
            watch(folder, kill)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status


for point in ("fsync", "before link", "link", "unlink", "half a write"):
    for number in range(1, 60):
        folder = root / f"{point}-{number}"
        (folder / "in").mkdir(parents=True)
        (folder / "done").mkdir()
        (folder / "done" / images[0].name).write_bytes(b"was there before")
        for image in images:
            os.link(image, folder / "in" / image.name)
        (folder / "in" / "broken.png").write_bytes(b"no image")
        status = forked(folder, (point, number))
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, status
            before = (folder / "records.jsonl").read_bytes() if (folder / "records.jsonl").exists() else b""
            assert forked(folder, ("never", 0)) == 0
            after = (folder / "records.jsonl").read_bytes()
            assert after.startswith(before), (point, number)
            (folder / "killed").touch()
        else:
            assert status == 0, (point, number, status)
            break
"""


@pytest.fixture(scope="module")
def points(texture_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One folder for each point at which a watch was killed, as the next watch left it."""
    run = texture_runs["one"]
    root = tmp_path_factory.mktemp("killed")
    images = []
    for number, path in enumerate(sorted((run.parents[1] / "textures" / "brick" / "test" / "good").iterdir())[:3]):
        images.append(root / f"{number}.png")
        shutil.copy(path, images[-1])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(run), str(root / "points"), *map(str, images)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted((root / "points").iterdir())


def test_every_image_has_one_record_and_one_place_wherever_it_was_killed(points: list[Path]) -> None:
    killed = [folder for folder in points if (folder / "killed").exists()]
    kinds = collections.Counter(folder.name.rpartition("-")[0] for folder in killed)
    # Journal, records, four moves, two folders: each was met, and each ended once without a kill.
    assert len(kinds) == 5
    assert kinds["link"] == kinds["before link"] == 4
    assert kinds["fsync"] >= 6
    assert kinds["half a write"] >= 3
    assert len(points) == len(killed) + 5
    for folder in points:
        text = (folder / "records.jsonl").read_text(encoding="utf-8")
        assert text.endswith("\n")
        records = [json.loads(line) for line in text.splitlines()]
        counts = collections.Counter(record["image"] for record in records)
        assert counts == {"0.png": 1, "1.png": 1, "2.png": 1, "broken.png": 1}, (folder.name, counts)
        assert list((folder / "in").iterdir()) == [], folder.name
        assert sorted(path.name for path in (folder / "failed").iterdir()) == ["broken.png"], folder.name
        assert sorted(path.name for path in (folder / "done").iterdir()) == ["0-2.png", "0.png", "1.png", "2.png"]
        assert (folder / "done" / "0.png").read_bytes() == b"was there before"
        journal = Journal(folder / "records.jsonl")
        assert journal.pending == {}
        journal.close()


def test_real_kills_while_images_arrive(texture_runs: dict[str, Path], tmp_path: Path) -> None:
    run = texture_runs["one"]
    sources = sorted((run.parents[1] / "textures" / "brick" / "test").rglob("*.png"))
    into, done, records = tmp_path / "in", tmp_path / "done", tmp_path / "records.jsonl"
    into.mkdir()
    command = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]
    command += ["bundle", "watch", str(run), str(into), "--done", str(done), "--failed", str(tmp_path / "failed")]
    command += ["-o", str(records), "--settle", "0.05", "--poll", "0.02"]
    count = 0
    for kill in range(3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        start = records.stat().st_size if records.exists() else 0
        end = time.monotonic() + 60
        while not records.exists() or records.stat().st_size == start:
            # Images arrive all the time, so that the kill falls somewhere in the middle of the work.
            shutil.copy(sources[count % len(sources)], into / f"{count:05d}.png")
            count += 1
            time.sleep(0.01)
            assert time.monotonic() < end
        for _ in range(20 + 7 * kill):
            shutil.copy(sources[count % len(sources)], into / f"{count:05d}.png")
            count += 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = subprocess.run([*command, "--once"], capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    counts = collections.Counter(json.loads(line)["image"] for line in records.read_text().splitlines())
    assert counts == {f"{number:05d}.png": 1 for number in range(count)}
    assert sorted(path.name for path in done.iterdir()) == sorted(counts)


def fields(name: str, target: Path) -> dict:
    line = json.dumps({"image": name, "error": "x"})
    return {"name": name, "size": 1, "mtime_ns": 2, "sha256": None, "line": line, "target": str(target)}


def test_a_journal_of_other_records_is_refused(tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    journal = Journal(records)
    journal.begin([fields("a.png", tmp_path / "a.png"), fields("b.png", tmp_path / "b.png")])
    journal.close()
    whole = records.read_bytes()
    for content, message in (
        (b"", None),  # nothing of the two was written: they are
        (whole[:10], None),
        (whole[: len(whole) // 2 + 5], None),
        (b"x" * len(whole), "not those of their journal"),
        (whole + b'{"image"', "the last line of the records is torn"),
    ):
        records.write_bytes(content)
        if message is None:
            again = Journal(records)
            assert records.read_bytes() == whole
            assert [step.name for step in again.pending.values()] == ["a.png", "b.png"]
            again.close()
        else:
            with pytest.raises(RunError, match=message):
                Journal(records)
    records.write_bytes(whole)
    journal = Journal(records)
    journal.finish(list(journal.pending.values())[:1])
    journal.close()
    records.write_bytes(b"")
    with pytest.raises(RunError, match="shorter than their journal says"):
        Journal(records)


def test_a_torn_journal_line_is_no_step_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    journal = Journal(records)
    journal.begin([fields("a.png", tmp_path / "a.png")])
    journal.close()
    path = tmp_path / "records.jsonl.journal"
    kept = path.read_bytes()
    path.write_bytes(kept + kept[: len(kept) // 2])
    again = Journal(records)
    assert len(again.pending) == 1
    again.close()
    path.write_bytes(b"{}\n" + kept)
    with pytest.raises(RunError, match="the journal is damaged"):
        Journal(records)


def test_the_journal_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyimgano.workbench.watch import journal as module

    monkeypatch.setattr(module, "COMPACT", 2000)
    journal = Journal(tmp_path / "records.jsonl")
    (stuck,) = journal.begin([fields("stuck.png", tmp_path / "stuck.png")])
    for number in range(100):
        journal.finish(journal.begin([fields(f"{number}.png", tmp_path / f"{number}.png")]))
        assert journal.path.stat().st_size < 2500
    journal.close()
    again = Journal(tmp_path / "records.jsonl")
    assert again.pending == {stuck.number: stuck}
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 101
    again.close()
