"""Dense CLIP features: MaskCLIP's last block by its definition, convolutional towers by theirs. Takes 5 s."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyimgano.openclip.clip_patch_map import ClipPatchMap
from pyimgano.openclip.transformer_views import dense_embeddings


@pytest.fixture(scope="module")
def fitted(photographs):
    def make(model="tiny-clip", **params):
        return ClipPatchMap(f"openclip/{model}", "solar cell", weights="random:4", **params).fit(photographs[:1])

    return make


def dense(detector, image, kind):
    clip = detector.clip
    with torch.inference_mode():
        x = clip.normalised(clip.prepare(image))
        return x, dense_embeddings(clip.model.visual, x, kind=kind, name=detector.backbone)


def test_values_are_those_of_an_attention_that_sees_itself_alone(fitted, photographs):
    """Masking every other token in the last block's attention, by torch's own attention, gives the same."""
    detector = fitted()
    visual = detector.clip.model.visual
    x, ours = dense(detector, photographs[2], "values")
    with torch.inference_mode():
        tokens = detector.clip.model.visual.conv1(x)[0].flatten(1).T[None]
        tokens = torch.cat([visual.class_embedding.view(1, 1, -1), tokens], dim=1) + visual.positional_embedding
        out = visual.ln_pre(tokens)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            out = block(out)
        itself = torch.full((out.shape[1], out.shape[1]), float("-inf")).fill_diagonal_(0.0)
        out = last(out, attn_mask=itself)
        expected = visual.ln_post(out)[0, 1:] @ visual.proj
    np.testing.assert_allclose(ours.reshape(16, -1).numpy(), expected.numpy(), atol=1e-5)


def test_tokens_are_the_towers_own_projected(fitted, photographs):
    detector = fitted(dense="tokens")
    visual = detector.clip.model.visual
    x, ours = dense(detector, photographs[2], "tokens")
    visual.output_tokens = True
    with torch.inference_mode():
        _, tokens = visual(x)
    np.testing.assert_allclose(ours.reshape(16, -1).numpy(), (tokens[0] @ visual.proj).numpy(), atol=1e-5)


def test_the_mean_over_the_places_of_a_convolutional_tower_is_the_images_embedding(fitted, photographs):
    detector = fitted("lite0-clip")
    x, ours = dense(detector, photographs[2], "values")
    with torch.inference_mode():
        whole = detector.clip.model.encode_image(x)[0]
    np.testing.assert_allclose(ours.mean(dim=(0, 1)).numpy(), whole.numpy(), rtol=1e-4, atol=1e-6)


def test_the_score_is_the_mean_of_the_worst_places(fitted, photographs):
    full, worst = (fitted(top_share=share).infer([photographs[2]]) for share in (1.0, 0.01))
    detector = fitted()
    _, embeddings = dense(detector, photographs[2], "values")
    rows = torch.nn.functional.normalize(embeddings.reshape(16, -1), dim=-1)
    texts = torch.nn.functional.normalize(torch.from_numpy(detector.texts_), dim=-1)
    places = (rows @ texts.T / 0.07).softmax(dim=-1)[:, 1].numpy()
    assert full.image_scores[0] == pytest.approx(places.mean(), abs=1e-6)
    assert worst.image_scores[0] == pytest.approx(places.max(), abs=1e-6)
    assert worst.maps[0].max() <= places.max() + 1e-6
