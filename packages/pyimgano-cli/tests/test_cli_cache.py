"""``pyimgano cache`` on a cache of its own; the weights' provider is a third party's, which needs nothing heavy."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import sys

import pytest

from pyimgano.core.cache import describe_cached

ACME = """
import shutil
from pyimgano.core.cache import cache_dir, describe_cached
from pyimgano.core.errors import WeightsError
from pyimgano.core.specs import ComponentSpec
from pyimgano.core.weights import WeightsInfo

SPECS = (ComponentSpec("acme", "Acme's weights", "acme_weights:Provider", kind="weights"),)


class Provider:
    def full_name(self, name):
        return {"bolt": "acme/bolt", "acme/bolt": "acme/bolt"}.get(name)

    def describe(self, name, tag="default"):
        path = cache_dir("weights", "acme", "bolt.v1.pth")
        if path.is_file():
            return WeightsInfo("acme/bolt", "v1", "cache", path, "ab" * 32, path.stat().st_size)
        return WeightsInfo(
            "acme/bolt", "v1", url="https://acme.example/bolt.pth", stated="abababab", license="mit",
            target=path, hint="where there is internet: pyimgano cache fetch acme/bolt",
        )

    def fetch(self, name, tag="default", *, file=None, url=None, sha256=None, progress=False):
        print("a library that talks")
        if file is None:
            raise WeightsError("cannot download", hint="pyimgano cache fetch acme/bolt --from bolt.pth")
        path = cache_dir("weights", "acme", create=True) / "bolt.v1.pth"
        shutil.copyfile(file, path)
        describe_cached(path, model="acme/bolt", version="v1")
        return self.describe(name, tag)
"""


NET_GRAPH = "graphs/timm-net-0123/features.onnx"
NUT_GRAPH = "graphs/timm-nut-4567/features.onnx"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def acme(plug_in):
    plug_in("acme-weights", {"pyimgano.components": {"acme": "acme_weights:SPECS"}}, {"acme_weights": ACME})


def put(path, content=b"w" * 2048, *, model="timm/net", version="v1", described=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if described:
        describe_cached(path, model=model, version=version)
    return path


@pytest.fixture
def filled(cache):
    put(cache / "weights/timm/net.v1.pth")
    put(cache / "graphs/timm-net-0123/features.onnx", b"g" * 100, version="torch 2.8")
    put(cache / "graphs/timm-nut-4567/features.onnx", b"g" * 100, model="timm/nut", version="torch 2.8")
    old = put(cache / "weights/timm/.fetch-1/weights.pth", b"1" * 512, described=False)
    for path in (old, old.parent):
        os.utime(path, (1e9, 1e9))
    return cache


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_list_shows_each_file_the_total_and_the_place(cli, filled):
    done = cli("cache", "list")
    rows = [line.split() for line in done.out.splitlines()]
    assert [row[:2] for row in rows] == [
        ["graphs/timm-net-0123/features.onnx", "graph"],
        ["graphs/timm-nut-4567/features.onnx", "graph"],
        ["weights/timm/.fetch-1", "leftover"],
        ["weights/timm/net.v1.pth", "weights"],
    ]
    assert rows[3][2:6] == ["timm/net", "v1", "2.0", "KiB"]
    assert "killed" in done.out.splitlines()[2]
    assert done.err == f"4 files, 2.7 KiB, in {filled}\n"
    assert done.code == 0


def test_list_as_json(cli, filled):
    data = json.loads(cli("cache", "list", "--json").out)
    assert (data["place"], data["count"], data["size"]) == (str(filled), 4, 2048 + 200 + 512)
    assert [file["kind"] for file in data["files"]] == ["graph", "graph", "leftover", "weights"]
    assert data["files"][3]["sidecar"]["sha256"] == data["files"][3]["sha256"]


def test_an_empty_cache(cli, cache):
    assert cli("cache", "list") == (0, "", f"0 files, 0 B, in {cache}\n")
    assert json.loads(cli("cache", "list", "--json").out)["files"] == []
    assert cli("cache", "verify") == (0, "", f"nothing to verify in {cache}\n")
    assert cli("cache", "clear", "--all") == (0, "", f"nothing to remove from {cache}\n")
    assert not cache.exists()


def test_info_of_weights_says_where_they_come_from_and_what_to_type(cli, cache, acme):
    done = cli("cache", "info", "bolt")
    assert done.code == 0
    for text in ("acme/bolt\n", "here:     no", "mit", "https://acme.example/bolt.pth", "begins with abababab"):
        assert text in done.out
    assert "pyimgano cache fetch acme/bolt" in done.out
    data = json.loads(cli("cache", "info", "acme/bolt", "--json").out)
    assert (data["here"], data["license"], data["cached_files"]) == (False, "mit", [])


def test_info_of_the_embedded_backbone(cli, cache):
    data = json.loads(cli("cache", "info", "efficientnet-lite0", "--json").out)
    assert (data["here"], data["place"]) == (True, "package")
    assert data["sha256"].startswith("57934424")
    assert "yes, in an installed package" in cli("cache", "info", "efficientnet-lite0").out


@pytest.mark.parametrize("name", ["timm-nut-4567", "graphs/timm-nut-4567/features.onnx"])
def test_info_of_a_cached_file(cli, filled, name):
    done = cli("cache", "info", name)
    assert done.out.startswith("graphs/timm-nut-4567/features.onnx\n")
    assert "timm/nut" in done.out
    (file,) = json.loads(cli("cache", "info", name, "--json").out)["cached_files"]
    assert file["version"] == "torch 2.8"


def test_a_name_that_means_nothing_is_an_error_with_the_nearest(cli, filled):
    for command in ("info", "verify", "clear"):
        done = cli("cache", command, "net.v2.pth")
        assert done.code == 2
        assert done.err.startswith(
            "error: nothing in the cache is called 'net.v2.pth'\nhint: did you mean 'net.v1.pth'"
        )


def test_fetch_prints_the_path_alone_and_does_not_fetch_twice(cli, cache, acme, tmp_path):
    file = put(tmp_path / "bolt.pth", described=False)
    done = cli("cache", "fetch", "bolt", "--from", file)
    path = cache / "weights/acme/bolt.v1.pth"
    assert (done.code, done.out) == (0, f"{path}\n")
    assert "a library that talks" in done.err
    again = cli("cache", "fetch", "bolt")
    assert (again.code, again.out) == (0, f"{path}\n")
    assert "nothing to download" in again.err
    assert "talks" not in again.err
    known = json.loads(cli("cache", "fetch", "bolt", "--json").out)
    assert (known["name"], known["path"], known["sha256"]) == ("acme/bolt", str(path), "ab" * 32)


def test_a_failed_fetch_says_what_to_type(cli, cache, acme):
    done = cli("cache", "fetch", "bolt")
    assert (done.code, done.out) == (3, "")
    assert "error: cannot download\nhint: pyimgano cache fetch acme/bolt --from bolt.pth\n" in done.err


def test_fetch_of_a_name_that_nobody_knows(cli, cache):
    done = cli("cache", "fetch", "acme/nut")
    assert done.code == 2
    assert "nothing installed knows weights called 'acme/nut'" in done.err
    assert "weights/backbones" in done.err


def test_verify_tells_which_files_are_bad(cli, filled):
    assert cli("cache", "verify").code == 0
    (filled / "weights/timm/net.v1.pth").write_bytes(b"x" * 2048)
    put(filled / "weights/timm/bare.pth", described=False)
    done = cli("cache", "verify")
    assert done.code == 1
    status = {row.split()[1]: row.split()[0] for row in done.out.splitlines()}
    assert status == {
        "graphs/timm-net-0123/features.onnx": "ok",
        "graphs/timm-nut-4567/features.onnx": "ok",
        "weights/timm/.fetch-1": "leftover",
        "weights/timm/bare.pth": "bad",
        "weights/timm/net.v1.pth": "bad",
    }
    assert "2 of them bad" in done.err
    assert "pyimgano cache clear weights/timm/bare.pth weights/timm/net.v1.pth" in done.err
    assert cli("cache", "verify", "timm-net-0123").code == 0
    data = json.loads(cli("cache", "verify", "net.v1.pth", "--json").out)
    assert data["ok"] is False
    assert "checksum mismatch" in data["files"][0]["problem"]


def test_what_verify_says_to_type_mends_it(cli, filled):
    (filled / "weights/timm/net.v1.pth").write_bytes(b"x")
    (line,) = (line for line in cli("cache", "verify").err.splitlines() if "pyimgano cache clear" in line)
    assert cli(*shlex.split(line.partition("pyimgano ")[2]), "--yes").code == 0
    assert cli("cache", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--graphs"], ["weights/timm/.fetch-1", "weights/timm/net.v1.pth"]),
        (["--weights"], [NET_GRAPH, NUT_GRAPH, "weights/timm/.fetch-1"]),
        (["--leftovers"], [NET_GRAPH, NUT_GRAPH, "weights/timm/net.v1.pth"]),
        (["--all"], []),
        (["timm/net"], [NUT_GRAPH, "weights/timm/.fetch-1"]),
        (["timm/net", "--graphs"], [NUT_GRAPH, "weights/timm/.fetch-1", "weights/timm/net.v1.pth"]),
    ],
    ids=" ".join,
)
def test_clear_removes_what_was_asked_for_and_nothing_else(cli, filled, arguments, left):
    (filled / "mine.txt").write_text("not pyimgano's")
    before = files_in(filled)
    asked = cli("cache", "clear", *arguments)
    assert asked.code == 2
    assert "error: --yes: nothing was removed" in asked.err
    assert files_in(filled) == before
    done = cli("cache", "clear", *arguments, "--yes")
    assert done.code == 0
    assert done.out == asked.out
    assert [file["name"] for file in json.loads(cli("cache", "list", "--json").out)["files"]] == left
    assert (filled / "mine.txt").is_file()


def test_clear_as_json_asks_nobody(cli, filled):
    refused = cli("cache", "clear", "--graphs", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "hint: add --yes" in refused.err
    assert len(files_in(filled)) == 7
    done = json.loads(cli("cache", "clear", "--graphs", "--json", "--yes").out)
    assert done["place"] == str(filled)
    assert [file["name"] for file in done["removed"]] == [NET_GRAPH, NUT_GRAPH]
    assert all(file["kind"] == "graph" and file["size"] for file in done["removed"])


def test_clear_wants_to_be_told_what(cli, filled):
    done = cli("cache", "clear", "--yes")
    assert done.code == 2
    assert "allowed: names, --graphs, --weights, --features, --leftovers, --all" in done.err
    assert len(files_in(filled)) == 7


def test_what_a_running_process_may_be_writing_is_kept_unless_named(cli, filled):
    put(filled / "weights/timm/.fetch-now/weights.pth", described=False)
    done = cli("cache", "clear", "--all", "--yes")
    assert "kept, since a running process may be writing it" in done.err
    assert files_in(filled) == ["weights/timm/.fetch-now/weights.pth"]
    assert cli("cache", "clear", "weights/timm/.fetch-now", "--yes").code == 0
    assert files_in(filled) == []


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 7), ("y", 0, 5)])
def test_on_a_terminal_it_asks(filled, answer, code, left):
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    terminal, their_end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "pyimgano.cli", "cache", "clear", "timm-nut-4567"],
        stdin=their_end,
        stdout=subprocess.DEVNULL,
        stderr=their_end,
    )
    os.close(their_end)
    shown = ""
    while "[y/N]" not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 4096).decode()
    os.write(terminal, f"{answer}\n".encode())
    assert child.wait(60) == code
    os.close(terminal)
    assert "1 file, 100 B, to remove" in shown
    assert len(files_in(filled)) == left
