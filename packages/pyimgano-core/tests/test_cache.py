"""The cache directory, and cached files that are what their sidecar says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyimgano.core.cache import cache_dir, describe_cached, torch_home, verify_cached
from pyimgano.core.errors import PyimganoError, WeightsError
from pyimgano.core.files import load_json


@pytest.fixture
def cached(tmp_path):
    file = tmp_path / "lite0.safetensors"
    file.write_bytes(b"weights" * 1000)
    describe_cached(file, model="efficientnet-lite0", version="0.1.0", input_size=(224, 224))
    return file


def test_variable_names_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_dir("onnx") == tmp_path / "mine" / "onnx"
    assert not cache_dir().exists()
    assert cache_dir("onnx", create=True).is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG folders are those of Linux")
def test_platform_decides_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("PYIMGANO_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "pyimgano"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "pyimgano"


def test_cache_that_cannot_be_made_is_an_error_with_the_variable_to_set(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="PYIMGANO_CACHE_DIR"):
        cache_dir(create=True)


def test_torch_home_is_respected(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert torch_home() == tmp_path
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert torch_home() == Path(tmp_path / "xdg" / "torch")


def test_sidecar_says_what_the_file_is(cached):
    record = verify_cached(cached)
    assert record["model"] == "efficientnet-lite0"
    assert record["version"] == "0.1.0"
    assert record["size"] == 7000
    assert record["input_size"] == [224, 224]
    assert load_json(cached.with_name(cached.name + ".json")) == record


def test_changed_file_is_refused(cached):
    data = bytearray(cached.read_bytes())
    data[500] ^= 1
    cached.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="checksum mismatch") as caught:
        verify_cached(cached)
    assert caught.value.where == str(cached)
    assert "delete" in caught.value.hint


def test_truncated_file_is_refused(cached):
    cached.write_bytes(cached.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="checksum mismatch"):
        verify_cached(cached)


def test_file_without_a_sidecar_is_refused(cached):
    cached.with_name(cached.name + ".json").unlink()
    with pytest.raises(WeightsError, match="no sidecar"):
        verify_cached(cached)


@pytest.mark.parametrize("content", ["{", "[]", "{}", "null"])
def test_damaged_sidecar_is_an_error(cached, content):
    cached.with_name(cached.name + ".json").write_text(content)
    with pytest.raises(PyimganoError):
        verify_cached(cached)


def test_sidecar_whose_file_is_gone_is_an_error(cached):
    cached.unlink()
    with pytest.raises(PyimganoError, match=r"lite0\.safetensors"):
        verify_cached(cached)
