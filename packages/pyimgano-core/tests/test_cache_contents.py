"""What lies in the cache is told as it is; what is removed lies in it."""

from __future__ import annotations

import os
import sys

import pytest

from pyimgano.core.cache import cache_dir, describe_cached
from pyimgano.core.cache_contents import CachedFile, list_cached, remove_cached, verify_file
from pyimgano.core.errors import StorageError

links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(path, content=b"w" * 2000, *, model="timm/net", version="v1", described=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if described:
        describe_cached(path, model=model, version=version)
    return path


def by_name():
    return {file.name: file for file in list_cached()}


def test_a_cache_that_was_never_made_is_empty(cache):
    assert list_cached() == ()
    assert not cache.exists()


def test_files_are_told_with_what_their_sidecars_say(cache):
    weights = put(cache / "weights/timm/net.v1.safetensors")
    put(cache / "graphs/timm-net-0123/features.onnx", b"g" * 10, version="torch 2.8")
    files = by_name()
    assert list(files) == ["graphs/timm-net-0123/features.onnx", "weights/timm/net.v1.safetensors"]
    assert [file.kind for file in files.values()] == ["graph", "weights"]
    found = files["weights/timm/net.v1.safetensors"]
    assert (found.path, found.size, found.model, found.version) == (weights, 2000, "timm/net", "v1")
    assert len(found.sha256) == 64
    assert found.problem is None
    assert found.to_json()["sidecar"]["model"] == "timm/net"
    assert found.to_json()["made"].endswith("Z")
    assert verify_file(found) is None


def test_other_things_in_the_folder_are_neither_told_nor_touched(cache):
    put(cache / "letters/mum.txt")
    put(cache / "notes.json", b"{}", described=False)
    assert list_cached() == ()
    stranger = CachedFile(cache / "letters/mum.txt", "letters/mum.txt", "weights", 1, 0.0, 0.0)
    with pytest.raises(StorageError, match="does not lie in the cache"):
        remove_cached(stranger)
    assert (cache / "letters/mum.txt").is_file()


@pytest.mark.parametrize("path", ["../elsewhere.pth", "weights/../../elsewhere.pth", "weights/../elsewhere.pth"])
def test_a_path_that_leads_out_is_not_removed(cache, path):
    (cache / "weights").mkdir(parents=True)
    target = put(cache / path)
    with pytest.raises(StorageError, match="does not lie in the cache"):
        remove_cached(CachedFile(cache / path, path, "weights", 1, 0.0, 0.0))
    assert target.is_file()


@pytest.mark.parametrize(
    ("sidecar", "problem"),
    [(None, "no sidecar"), ("{", "sidecar is damaged"), ("[]", "sidecar is damaged"), ("{}", "sidecar is damaged")],
)
def test_a_file_that_nothing_vouches_for_is_told_of(cache, sidecar, problem):
    path = put(cache / "weights/timm/net.pth", described=False)
    if sidecar is not None:
        path.with_name("net.pth.json").write_text(sidecar)
    (file,) = list_cached()
    assert problem in file.problem
    assert problem in verify_file(file)
    remove_cached(file)
    assert list((cache / "weights").iterdir()) == []


def test_a_changed_file_is_found_by_reading_it(cache):
    path = put(cache / "weights/timm/net.pth")
    path.write_bytes(b"x" * 2000)
    (file,) = list_cached()
    assert file.problem is None
    assert "checksum mismatch" in verify_file(file)


def test_what_a_killed_process_left_is_told_as_such(cache):
    put(cache / "weights/timm/.fetch-abc/weights.pth", b"1" * 700, described=False)
    put(cache / "graphs/.export-xyz/features.onnx", b"1" * 30)
    put(cache / "weights/timm/gone.pth").unlink()
    files = by_name()
    assert list(files) == ["graphs/.export-xyz", "weights/timm/.fetch-abc", "weights/timm/gone.pth.json"]
    assert {file.kind for file in files.values()} == {"leftover"}
    assert files["weights/timm/.fetch-abc"].size == 700
    assert files["weights/timm/.fetch-abc"].busy
    old = cache / "weights/timm/.fetch-abc"
    for path in (old / "weights.pth", old):
        os.utime(path, (1e9, 1e9))
    assert not by_name()["weights/timm/.fetch-abc"].busy
    for file in list_cached():
        remove_cached(file)
    assert list_cached() == ()
    assert cache_dir("weights").is_dir()


def test_names_that_mean_a_file(cache):
    put(cache / "weights/timm/net.v1.safetensors")
    put(cache / "graphs/timm-net-0123/features.onnx")
    graph, weights = list_cached()
    for name in ("weights/timm/net.v1.safetensors", "net.v1.safetensors", "timm/net", "timm/net.v1", str(weights.path)):
        assert weights.called(name), name
    for name in ("graphs/timm-net-0123/features.onnx", "graphs/timm-net-0123/", "timm-net-0123", "timm/net"):
        assert graph.called(name), name
    for name in ("net", "timm", "features.onnx", "", "/"):
        assert not graph.called(name), name
        assert not weights.called(name), name


def test_removing_one_file_leaves_its_neighbours(cache):
    put(cache / "weights/timm/a.pth")
    kept = put(cache / "weights/timm/b.pth")
    remove_cached(by_name()["weights/timm/a.pth"])
    assert sorted(path.name for path in kept.parent.iterdir()) == ["b.pth", "b.pth.json"]
    remove_cached(by_name()["weights/timm/b.pth"])
    assert not kept.parent.exists()


def test_a_file_that_another_process_removed_first_is_no_error(cache):
    put(cache / "weights/timm/a.pth")
    (file,) = list_cached()
    remove_cached(file)
    (cache / "weights/timm").mkdir()
    remove_cached(file)


@links
def test_links_are_removed_and_never_what_they_point_to(cache, tmp_path):
    shared = put(tmp_path / "shared/net.pth")
    (cache / "weights").mkdir(parents=True)
    (cache / "weights/all").symlink_to(shared.parent, target_is_directory=True)
    (cache / "weights/net.pth").symlink_to(shared)
    (cache / "weights/net.pth.json").symlink_to(shared.with_name("net.pth.json"))
    (cache / "weights/.tmp").symlink_to(shared.parent, target_is_directory=True)
    files = by_name()
    assert sorted(files) == ["weights/.tmp", "weights/all", "weights/net.pth"]
    assert files["weights/net.pth"].link == str(shared)
    assert files["weights/net.pth"].size == 2000
    assert verify_file(files["weights/net.pth"]) is None
    assert "leads to no file" in files["weights/all"].problem
    for file in files.values():
        remove_cached(file)
    assert list((cache / "weights").iterdir()) == []
    assert sorted(path.name for path in shared.parent.iterdir()) == ["net.pth", "net.pth.json"]


@links
def test_a_folder_that_became_a_link_out_of_the_cache_is_not_followed(cache, tmp_path):
    shared = put(tmp_path / "shared/net.pth")
    (cache / "weights").mkdir(parents=True)
    (cache / "weights/timm").symlink_to(shared.parent, target_is_directory=True)
    stale = CachedFile(cache / "weights/timm/net.pth", "weights/timm/net.pth", "weights", 1, 0.0, 0.0)
    with pytest.raises(StorageError, match="does not lie in the cache"):
        remove_cached(stale)
    assert shared.is_file()


@links
def test_the_cache_itself_may_be_a_link(cache, tmp_path):
    (tmp_path / "disk").mkdir()
    cache.symlink_to(tmp_path / "disk", target_is_directory=True)
    put(cache / "weights/timm/net.pth")
    (file,) = list_cached()
    remove_cached(file)
    assert list_cached() == ()
