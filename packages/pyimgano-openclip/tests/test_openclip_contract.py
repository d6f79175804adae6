"""WinCLIP and CLIP patch maps keep the detector contract, to the last bit between batches. Takes 30 s.

Zero-shot detectors need a CLIP that knows its words, which one of random weights does not. Here its text projection is
solved for, so that the words for good and for defective parts lie where such images do: a training in one step.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from pyimgano.core.testing import check_plugin, make_check_images, parametrize_with_checks
from pyimgano.openclip.clip_patch_map import ClipPatchMap
from pyimgano.openclip.winclip import WinClip

TINY = "openclip/tiny-clip"
WORDS = "woven cloth"


def discriminant(good: Any, defective: Any) -> Any:
    """Return Fisher's direction between two groups of embeddings, of length 1."""
    import torch

    unit = torch.nn.functional.normalize
    good, defective = unit(good, dim=-1), unit(defective, dim=-1)
    spread = torch.cov(good.T) + torch.cov(defective.T)
    spread = spread + 1e-2 * spread.trace() / len(spread) * torch.eye(len(spread)).double()
    return unit(torch.linalg.solve(spread, defective.mean(dim=0) - good.mean(dim=0)), dim=0)


@functools.cache
def knowing_weights(model: str, dense: str, size: Optional[tuple[int, int]] = None) -> str:
    """Return a file of weights of a small model, whose words lie where images of the contract's kind do."""
    import torch
    from safetensors.torch import save_file

    from pyimgano.openclip.clip_model import ClipModel
    from pyimgano.openclip.prompts import prompt_ensemble
    from pyimgano.openclip.transformer_views import TransformerViews, dense_embeddings

    clip = ClipModel(f"openclip/{model}", "random:5", size, "cpu")
    images = make_check_images(seed=1, train=40, defective=40)

    def places(picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embedding of every place, (N, D), and how bright it is there, (N,)."""
        prepared = clip.prepare(picture)
        found = dense_embeddings(clip.model.visual, clip.normalised(prepared), kind=dense, name=model)
        light = torch.from_numpy(prepared.max(axis=2).astype(np.float32))[None, None]
        return found.flatten(0, 1), torch.nn.functional.adaptive_avg_pool2d(light, found.shape[:2]).flatten()

    def whole(picture: np.ndarray) -> torch.Tensor:
        views = TransformerViews(clip.model.visual, model)
        return views.whole(views.tokens(clip.normalised(clip.prepare(picture))))[0]

    with torch.inference_mode():
        groups = [
            [torch.cat([places(image)[0] for image in images.train])],
            [torch.stack([found[light.argmax()] for found, light in map(places, images.defective)])],
        ]
        if dense == "tokens":  # a transformer's embedding of the whole image lies elsewhere than its tokens
            groups[0].append(torch.cat([whole(image) for image in images.train]))
            groups[1].append(torch.cat([whole(image) for image in images.defective]))
        direction = torch.zeros(groups[0][0].shape[1]).double()
        for good, defective in zip(*groups):
            direction = direction + discriminant(good.double(), defective.double())
        text = clip.model.text if hasattr(clip.model, "text") else clip.model
        before = text.text_projection.data.clone()
        text.text_projection.data.copy_(torch.eye(len(before)))
        words = torch.from_numpy(np.stack([clip.mean_text_embedding(prompts) for prompts in prompt_ensemble(WORDS)]))
        solved = torch.linalg.lstsq(words.double(), torch.stack([-direction, direction])).solution
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
            "openclip/lite0-clip",
            WORDS,
            weights=knowing_weights("lite0-clip", "values", (96, 128)),
            input_size=(96, 128),
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()


def test_plugin() -> None:
    assert check_plugin("pyimgano-openclip") == []
