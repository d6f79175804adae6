"""Files are whole or absent, also when the process is killed or the disk is full; JSON is strict."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import PyimganoError, StorageError
from pyimgano.core.files import atomic_folder, atomic_open, dump_json, dumps_json, load_json, sha256_bytes, sha256_file

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor file size limits")


def test_file_appears_under_its_name_when_the_block_ends(tmp_path):
    target = tmp_path / "ergebnis-größe.txt"
    with atomic_open(target) as stream:
        stream.write("größe\n")
        assert not target.exists()
    assert target.read_bytes() == "größe\n".encode()
    assert os.listdir(tmp_path) == [target.name]


def test_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old")

    def fail_in_the_middle():
        with atomic_open(target) as stream:
            stream.write("half of the new")
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        fail_in_the_middle()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


@POSIX_ONLY
def test_killed_process_leaves_the_old_file(tmp_path):
    target = tmp_path / "scores.bin"
    target.write_bytes(b"old")
    code = (
        "import sys, time; from pyimgano.core.files import atomic_open\n"
        "with atomic_open(sys.argv[1], 'wb') as stream:\n"
        "    stream.write(b'x' * 5_000_000); stream.flush(); print('writing', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert target.read_bytes() == b"old"
    others = [name for name in os.listdir(tmp_path) if name != target.name]
    assert all(name.startswith(".") and name.endswith(".part") for name in others)


@POSIX_ONLY
@pytest.mark.parametrize("buffered", [True, False])
def test_full_disk_is_a_plain_error_and_leaves_the_old_file(tmp_path, buffered):
    target = tmp_path / "scores.bin"
    target.write_bytes(b"old")
    # A limit on the size of files fails a write as a full disk does; written at once, or at the flush.
    code = (
        "import resource, sys; from pyimgano.core.errors import PyimganoError\n"
        "from pyimgano.core.files import atomic_open\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    with atomic_open(sys.argv[1], 'wb') as stream: stream.write(b'x' * int(sys.argv[2]))\n"
        "except PyimganoError as error: print(error)\n"
        "else: sys.exit('nothing failed')"
    )
    size = "4000" if buffered else "4000000"
    done = subprocess.run([sys.executable, "-c", code, str(target), size], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{target}: cannot write: File too large" in done.stdout
    assert "free space" in done.stdout
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [target.name]


def test_error_about_another_file_is_not_blamed_on_the_target(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_open(tmp_path / "x"):
        (tmp_path / "absent.png").read_bytes()
    with pytest.raises(BrokenPipeError), atomic_open(tmp_path / "x"):
        raise BrokenPipeError(32, "Broken pipe")
    assert os.listdir(tmp_path) == []


def test_missing_folder_is_an_error_that_names_the_path(tmp_path):
    with pytest.raises(StorageError, match="cannot write") as caught, atomic_open(tmp_path / "no" / "x"):
        pass
    assert caught.value.where == str(tmp_path / "no" / "x")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_result_is_as_readable_as_any_file_of_the_user(tmp_path):
    (tmp_path / "plain").write_text("")
    dump_json({}, tmp_path / "ours.json")
    assert stat.S_IMODE((tmp_path / "ours.json").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_reading_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'w' or 'wb'"), atomic_open(tmp_path / "x", "r"):
        pass


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), np.array([1, np.inf])])
def test_json_refuses_what_is_not_finite(value, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        dumps_json({"score": value})
    with pytest.raises(ValueError, match="JSON"):
        dump_json({"score": value}, tmp_path / "x.json")
    assert os.listdir(tmp_path) == []


def test_json_keeps_numbers_text_and_order(tmp_path):
    @dataclasses.dataclass
    class Own:
        def to_json(self):
            return {"own": 1}

    value = {
        "z": np.float32(0.5),
        "a": np.arange(3),
        "path": Path("a") / "b",
        "name": "Größe",
        "set": {"b", "a"},
        "own": Own(),
        "pair": (1, 2),
    }
    dump_json(value, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "Größe" in text
    assert text.endswith("}\n")
    loaded = load_json(tmp_path / "x.json")
    assert list(loaded) == list(value)
    assert loaded["z"] == 0.5
    assert loaded["a"] == [0, 1, 2]
    assert loaded["path"] == "a/b"
    assert loaded["set"] == ["a", "b"]
    assert loaded["own"] == {"own": 1}
    assert dumps_json({"a": 1, "b": [1, 2]}) == '{"a":1,"b":[1,2]}'


def test_json_refuses_what_has_no_form():
    with pytest.raises(TypeError, match="object has no JSON form"):
        dumps_json(object())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1,}', "x.json:1:"),
        (b'{\n "a": tru}', "x.json:2:7"),
        (b"NaN", "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b"\xff\xfe\x00", "cannot read JSON"),
        (b"", "x.json:1:1"),
    ],
)
def test_file_that_is_not_strict_json_is_an_error_with_its_place(tmp_path, content, said):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(PyimganoError) as caught:
        load_json(tmp_path / "x.json")
    assert said in str(caught.value)


def test_missing_json_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(PyimganoError, match=r"absent\.json: cannot read JSON: No such file"):
        load_json(tmp_path / "absent.json")


def test_checksums_of_file_and_bytes_agree(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "x").write_bytes(data)
    assert sha256_file(tmp_path / "x") == sha256_bytes(data)
    assert sha256_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_folder_appears_under_its_name_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_failed_block_leaves_the_old_folder_and_nothing_else(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("1")

    def interrupted():
        with atomic_folder(target, replace=True) as folder:
            (folder / "new").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_folder_that_is_there_is_replaced_only_when_asked(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    with atomic_folder(target) as folder:  # an empty one is no loss
        (folder / "first").write_text("1")
    with pytest.raises(PyimganoError, match="cannot write") as caught, atomic_folder(target) as folder:
        (folder / "second").write_text("2")
    assert caught.value.where == str(target)
    assert [path.name for path in target.iterdir()] == ["first"]
    with atomic_folder(target, replace=True) as folder:
        (folder / "second").write_text("2")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "second"]


def test_error_in_a_folder_block_about_something_else_is_not_blamed_on_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "x"):
        (tmp_path / "absent.png").read_bytes()
    with pytest.raises(BrokenPipeError), atomic_folder(tmp_path / "x"):
        raise BrokenPipeError(32, "Broken pipe")
    assert os.listdir(tmp_path) == []
