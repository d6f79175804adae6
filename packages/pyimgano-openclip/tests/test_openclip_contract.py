"""WinCLIP and CLIP patch maps keep the detector contract, to the last bit between batches. Takes 30 s.

Zero-shot detectors need a CLIP that knows its words, which one of random weights does not. Here its text projection is
solved for, so that the words for good and for defective parts lie where such images do: a training in one step.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Callable

import numpy as np

from pyimgano.core.testing import check_plugin, make_check_images, parametrize_with_checks
from pyimgano.openclip.clip_patch_map import ClipPatchMap
from pyimgano.openclip.winclip import WinClip

TINY = "openclip/tiny-clip"
WORDS = "woven cloth"


@functools.cache
def knowing_weights(model: str, dense: str) -> str:
    """Return a file of weights of a small model, whose words lie where images of the contract's kind do."""
    import torch
    from safetensors.torch import save_file

    from pyimgano.openclip.clip_model import ClipModel
    from pyimgano.openclip.prompts import prompt_ensemble
    from pyimgano.openclip.transformer_views import TransformerViews, dense_embeddings

    clip = ClipModel(f"openclip/{model}", "random:5", None, "cpu")
    images = make_check_images(seed=1)

    def places(picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embedding of every place, and how bright the brightest pixel there is."""
        prepared = clip.prepare(picture)
        found = dense_embeddings(clip.model.visual, clip.normalised(prepared), kind=dense, name=model)
        light = torch.from_numpy(prepared.max(axis=2).astype(np.float32))[None, None]
        return found, torch.nn.functional.adaptive_avg_pool2d(light, found.shape[:2])[0, 0]

    def wholes(pictures: list[np.ndarray]) -> torch.Tensor:
        """Return the mean embedding of whole images."""
        views = TransformerViews(clip.model.visual, model)
        found = [views.whole(views.tokens(clip.normalised(clip.prepare(picture))))[0] for picture in pictures]
        return torch.nn.functional.normalize(torch.cat(found), dim=-1).mean(dim=0)

    with torch.inference_mode():
        good = torch.cat([places(image)[0].flatten(0, 1) for image in images.train])
        brightest = [places(image) for image in images.defective]
        defective = torch.stack([found.flatten(0, 1)[light.argmax()] for found, light in brightest])
        direction = torch.nn.functional.normalize(defective, dim=-1).mean(dim=0)
        direction = direction - torch.nn.functional.normalize(good, dim=-1).mean(dim=0)
        if dense == "tokens":  # a transformer's embedding of the whole image lies elsewhere than its tokens
            unit = torch.nn.functional.normalize
            direction = unit(direction, dim=0) + unit(wholes(images.defective) - wholes(images.train), dim=0)
        text = clip.model.text if hasattr(clip.model, "text") else clip.model
        before = text.text_projection.data.clone()
        text.text_projection.data.copy_(torch.eye(len(before)))
        words = torch.from_numpy(np.stack([clip.mean_text_embedding(prompts) for prompts in prompt_ensemble(WORDS)]))
        solved = torch.linalg.lstsq(words.double(), torch.stack([-direction, direction]).double()).solution
        state = {name: tensor.contiguous() for name, tensor in clip.model.state_dict().items()}
    state["text.text_projection" if text is not clip.model else "text_projection"] = solved.float().contiguous()
    path = Path(tempfile.mkdtemp(), "knowing.safetensors")
    save_file(state, path)
    return str(path)


@parametrize_with_checks(
    {
        "winclip": lambda: WinClip(TINY, weights="random", batch_size=4),
        "winclip-zero-shot": lambda: WinClip(
            TINY, WORDS, shots=0, weights=knowing_weights("tiny-clip", "tokens"), batch_size=3
        ),
        "winclip-few-shots-other-size": lambda: WinClip(
            TINY, shots=3, scales=[2], input_size=(48, 80), weights="random:1", seed=1
        ),
        "clip-patch-map": lambda: ClipPatchMap(
            TINY, WORDS, weights=knowing_weights("tiny-clip", "values"), batch_size=4
        ),
        "clip-patch-map-of-tokens": lambda: ClipPatchMap(
            TINY, WORDS, dense="tokens", top_share=0.1, weights=knowing_weights("tiny-clip", "tokens")
        ),
        "clip-patch-map-of-a-convolutional-tower": lambda: ClipPatchMap(
            "openclip/lite0-clip", WORDS, weights=knowing_weights("lite0-clip", "values"), input_size=(64, 96)
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()


def test_plugin() -> None:
    assert check_plugin("pyimgano-openclip") == []
