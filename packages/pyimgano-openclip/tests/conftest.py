"""Small CLIP models, registered with OpenCLIP as a user would; they have random weights, or those of a package."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

TEXT = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
TRANSFORMER = {"image_size": 64, "layers": 4, "width": 48, "head_width": 16, "patch_size": 16}
MODELS = {
    "tiny-clip": {"embed_dim": 32, "vision_cfg": TRANSFORMER, "text_cfg": TEXT},
    "tiny-clip-wide": {"embed_dim": 32, "vision_cfg": {**TRANSFORMER, "image_size": [48, 80]}, "text_cfg": TEXT},
    "tiny-resnet": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT,
    },
    "lite0-clip": {
        "embed_dim": 32,
        "custom_text": True,
        "vision_cfg": {
            "timm_model_name": "tf_efficientnet_lite0",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": 64,
        },
        "text_cfg": TEXT,
    },
    "tiny-foreign-words": {
        "embed_dim": 32,
        "vision_cfg": TRANSFORMER,
        "text_cfg": {**TEXT, "hf_tokenizer_name": "somebody/tokenizer"},
    },
}


@pytest.fixture(scope="session", autouse=True)
def small_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    import open_clip

    folder = tmp_path_factory.mktemp("models")
    for name, config in MODELS.items():
        (folder / f"{name}.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(folder)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Weights and graphs go into a cache that nothing else uses."""
    before = os.environ.get("PYIMGANO_CACHE_DIR")
    os.environ["PYIMGANO_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["PYIMGANO_CACHE_DIR"]
    else:
        os.environ["PYIMGANO_CACHE_DIR"] = before


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """scikit-image's own photographs, RGB uint8, of several sizes."""
    import skimage.data

    images = [getattr(skimage.data, name)() for name in ("astronaut", "brick", "chelsea", "coffee", "grass")]
    return [np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image for image in images]


@pytest.fixture(scope="session")
def tiny_state() -> dict[str, object]:
    """A state dict of ``tiny-clip``."""
    import torch

    from pyimgano.openclip.networks import create_clip
    from pyimgano.openclip.pretrained import Pretrained

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return dict(create_clip(Pretrained("tiny-clip", "", {}), None).state_dict())


@pytest.fixture(scope="session")
def tiny_file(tiny_state: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of ``tiny-clip`` as safetensors."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "open_clip_model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tiny_state.items()}, path)  # type: ignore[attr-defined]
    return path
