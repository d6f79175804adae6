"""Transformers of timm: patch tokens as maps, at any size of whole patches, equal to timm's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from pyimgano.core.errors import ParameterError
from pyimgano.models.features import create_extractor

NAME = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the model's weights, drawn at random; its positions differ as much as trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model(NAME, pretrained=False).state_dict()
        state["pos_embed"] = torch.randn_like(state["pos_embed"])
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(state, path)
    return path


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
@pytest.mark.parametrize("size", [(224, 224), (96, 160)], ids=str)
def test_normed_tokens_are_those_of_timm_at_any_size(size, runtime, weights, photographs):
    from safetensors.torch import load_file

    extractor = create_extractor(
        f"timm/{NAME}", layers=["norm", "blocks.3"], input_size=size, weights=str(weights), runtime=runtime
    )
    image = extractor.prepare(photographs["coffee"])
    model = timm.create_model(NAME, pretrained=False, dynamic_img_size=True).eval()
    model.load_state_dict(load_file(weights))
    pixels = torch.from_numpy((image - np.float32(extractor.backbone.mean)) / np.float32(extractor.backbone.std))
    pixels = pixels.permute(2, 0, 1)[None]
    with torch.inference_mode():
        tokens = model.forward_features(pixels)[:, 1:]
        inner = model.forward_intermediates(pixels, indices=[3], intermediates_only=True)[0].numpy()
    grid = (size[0] // 16, size[1] // 16)
    expected = tokens.transpose(1, 2).reshape(1, 192, *grid).numpy()

    found = extractor.extract([image])

    assert extractor.layers == ("blocks.3", "norm")
    np.testing.assert_allclose(found["norm"], expected, atol=2e-5 * np.abs(expected).max(), rtol=0)
    np.testing.assert_allclose(found["blocks.3"], inner, atol=2e-5 * np.abs(inner).max(), rtol=0)


def test_a_size_that_cuts_patches_is_refused_and_the_nearest_are_named():
    with pytest.raises(ParameterError) as caught:
        create_extractor(f"timm/{NAME}", layers=["norm"], weights="random", input_size=(250, 224))
    assert "multiples of 16" in caught.value.allowed
    assert "[240, 224] or [256, 224]" in caught.value.allowed
