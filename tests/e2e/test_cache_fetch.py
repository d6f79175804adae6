"""Weights of the hub come into the cache by the command line, from a mirror on loopback, and are then used offline."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import timm
import torch
from safetensors.torch import save as save_safetensors

from pyimgano.core.cache_contents import list_cached, verify_file
from pyimgano.core.weights import weights_provider

NAME = "timm/test_resnet.r160_in1k"


def pyimgano(env, *arguments):
    command = [sys.executable, "-m", "pyimgano.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False)


def test_weights_are_missing_then_fetched_then_found(file_server, tmp_path, monkeypatch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        content = save_safetensors(timm.create_model("test_resnet", pretrained=False).state_dict())
    digest = hashlib.sha256(content).hexdigest()
    file_server.serve(f"/{NAME}/resolve/main/model.safetensors", content, headers={"X-Linked-Etag": f'"{digest}"'})
    env = {
        "PYIMGANO_CACHE_DIR": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": file_server.url,
    }

    offline = pyimgano({**env, "HF_HUB_OFFLINE": "1"}, "cache", "fetch", NAME)
    assert offline.returncode == 3
    assert f"pyimgano cache fetch {NAME} --from model.safetensors" in offline.stderr
    assert file_server.asked == []

    fetched = pyimgano({**env, "HF_HUB_OFFLINE": "0"}, "cache", "fetch", NAME)
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout == f"{tmp_path / 'cache' / 'weights' / 'timm' / 'test_resnet.r160_in1k.safetensors'}\n"
    assert digest in fetched.stderr

    monkeypatch.setenv("PYIMGANO_CACHE_DIR", env["PYIMGANO_CACHE_DIR"])
    monkeypatch.setenv("HF_ENDPOINT", file_server.url)
    info = weights_provider(NAME).describe(NAME)
    assert (info.place, info.sha256) == ("cache", digest)
    assert info.url == f"{file_server.url}/{NAME}/resolve/main/model.safetensors"
    (file,) = list_cached()
    assert file.record["origin"] == info.url
    assert verify_file(file) is None
