"""Weights of OpenCLIP's models: by name and tag, from our cache, checked, never downloaded unasked. Takes 10 s."""

from __future__ import annotations

import hashlib
import json
import logging
import socket

import open_clip
import pytest
import torch

from pyimgano.core import downloads
from pyimgano.core.cache_contents import list_cached, verify_file
from pyimgano.core.creation import create_model
from pyimgano.core.errors import ParameterError, UnknownNameError, WeightsError
from pyimgano.core.weights import WeightsProvider, full_name, weights_provider
from pyimgano.openclip.pretrained import find_pretrained, find_weights
from pyimgano.openclip.weight_provider import OpenClipWeights

NAME = "openclip/tiny-clip:made_up"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "pyimgano"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    return tmp_path / "pyimgano"


@pytest.fixture
def tag(monkeypatch, file_server):
    """OpenCLIP's table of weights with two more sets: one at an address, one on the hub."""
    entries = {
        "made_up": {"url": f"{file_server.url}/weights/tiny.bin", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
        "on_hub": {"hf_hub": "somebody/tiny/", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", entries)


def test_the_provider_knows_its_names_alone():
    assert isinstance(OpenClipWeights(), WeightsProvider)
    assert type(weights_provider("openclip/ViT-B-32")).__name__ == "OpenClipWeights"
    assert full_name("openclip/ViT-B-32:openai") == "openclip/ViT-B-32:openai"
    assert [OpenClipWeights().full_name(name) for name in ("openclip/", "timm/x", "ViT-B-32")] == [None] * 3


def test_the_default_is_the_tag_of_the_name_then_openclips_first():
    assert find_pretrained("ViT-B-16-plus-240", "laion400m_e31").tag == "laion400m_e31"
    assert find_pretrained("ViT-B-32").tag == open_clip.list_pretrained_tags_by_model("ViT-B-32")[0]
    assert find_pretrained("ViT-B-32", "", "laion2b_s34b_b79k").tag == "laion2b_s34b_b79k"


def test_unknown_models_and_tags_are_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'ViT-B-32'"):
        find_pretrained("ViT-B-33")
    with pytest.raises(ParameterError, match="laion2b_s34b_b79k"):
        find_pretrained("ViT-B-32", "nobody")
    with pytest.raises(ParameterError, match="openclip/ViT-B-32:openai"):
        find_pretrained("ViT-B-32", "openai", "laion2b_s34b_b79k")
    with pytest.raises(ParameterError, match="allowed: a file, random"):
        find_pretrained("tiny-clip")


def test_weights_that_are_not_here_are_named_with_file_place_and_command(cache, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("a connection was opened"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("an address was looked up"))
    model = create_model("winclip", class_name="solar cell")
    with pytest.raises(WeightsError, match="are not on this machine") as caught:
        model.fit([torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()])
    hint = str(caught.value.hint)
    assert "pyimgano cache fetch openclip/ViT-B-16-plus-240:laion400m_e31" in hint
    assert "https://huggingface.co/" in hint
    assert str(cache / "weights" / "openclip" / "ViT-B-16-plus-240.laion400m_e31.safetensors") in hint
    assert "--from open_clip_model.safetensors" in hint


def test_a_file_is_copied_into_the_cache_and_then_found(cache, tag, tiny_file):
    before = OpenClipWeights().describe(NAME)
    assert (before.place, before.target) == (None, cache / "weights" / "openclip" / "tiny-clip.made_up.bin")
    info = OpenClipWeights().fetch(NAME, file=tiny_file)
    assert info.place == "cache"
    assert info.path == cache / "weights" / "openclip" / "tiny-clip.made_up.safetensors"
    assert info.sha256 == hashlib.sha256(tiny_file.read_bytes()).hexdigest()
    (listed,) = list_cached()
    assert (listed.model, listed.version, verify_file(listed)) == ("openclip/tiny-clip", "made_up", None)
    assert find_weights(find_pretrained("tiny-clip", "made_up")).path == info.path
    assert OpenClipWeights().describe("openclip/tiny-clip", "made_up").sha256 == info.sha256


def test_a_cached_file_that_was_altered_is_refused(cache, tag, tiny_file):
    path = OpenClipWeights().fetch(NAME, file=tiny_file).path
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(WeightsError, match="checksum mismatch"):
        find_weights(find_pretrained("tiny-clip", "made_up"))
    info = OpenClipWeights().describe(NAME)
    assert info.problem is not None
    assert info.to_json()["here"] is False


def test_a_download_is_checked_and_kept(cache, tag, tiny_state, tmp_path, file_server):
    file = tmp_path / "tiny.bin"
    torch.save({"state_dict": tiny_state}, file)
    file_server.serve("/weights/tiny.bin", file.read_bytes())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="checksum mismatch"):
        OpenClipWeights().fetch(NAME, sha256="0" * 12)
    assert list_cached() == ()
    info = OpenClipWeights().fetch(NAME, sha256=digest[:12])
    assert info.path.name == "tiny-clip.made_up.bin"
    record = json.loads(info.path.with_name(info.path.name + ".json").read_text(encoding="utf-8"))
    assert record["origin"] == f"{file_server.url}/weights/tiny.bin"


def test_the_hub_is_asked_for_safetensors_first(tag):
    page = OpenClipWeights().describe("openclip/tiny-clip:on_hub").url
    assert page.endswith("/somebody/tiny/resolve/main/open_clip_model.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("code of a weights file ran",))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: torch.save({"state_dict": {"x": Evil()}}, path), "never run"),
        (lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path)), "TorchScript"),
        (lambda path: path.write_bytes(b"no weights at all"), "weights file"),
        (lambda path: torch.save({"x": torch.zeros(2)}, path), "do not fit openclip/tiny-clip"),
        (lambda path: torch.save([torch.zeros(2)], path), "does not hold a state dict"),
    ],
    ids=["objects", "torchscript", "noise", "another model", "a list"],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_files_that_are_no_plain_fitting_weights_are_refused(cache, tag, tmp_path, capsys, make, reason):
    path = tmp_path / "file.pt"
    make(path)
    with pytest.raises(WeightsError, match=reason):
        OpenClipWeights().fetch(NAME, file=path)
    assert list_cached() == ()
    assert "code of a weights file ran" not in capsys.readouterr().out


def test_weights_say_how_pixels_are_scaled(cache, tag, tiny_file):
    from pyimgano.openclip.extractor import OpenClipExtractor

    OpenClipWeights().fetch(NAME, file=tiny_file)
    library = OpenClipExtractor.library
    assert library.describe("tiny-clip:made_up").mean == (127.5, 127.5, 127.5)
    assert library.describe("ViT-B-32:openai").mean == pytest.approx([122.7709, 116.7460, 104.0937], abs=1e-3)


def test_random_weights_are_seeded_and_leave_logging_and_torch_alone():
    from pyimgano.openclip.extractor import OpenClipExtractor

    handlers = list(logging.getLogger().handlers)
    state = torch.random.get_rng_state()
    first, again, other = (
        OpenClipExtractor("tiny-clip", input_size=64, weights=w).weights_sha256
        for w in ("random", "random:0", "random:1")
    )
    assert first == again != other
    assert torch.equal(state, torch.random.get_rng_state())
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().filters == []
