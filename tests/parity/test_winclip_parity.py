"""Given the same weights, WinCLIP's embeddings, words, scores and maps are anomalib's to 1e-5. Takes 10 s."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

from pyimgano.openclip.winclip import WinClip

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 80, "layers": 4, "width": 48, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
NAME = "parity-clip"


@pytest.fixture(scope="module")
def architecture(reference, tmp_path_factory):
    import open_clip

    folder = tmp_path_factory.mktemp("architecture")
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def pair(architecture):
    """Return a function that makes our detector, fitted on reference images, and their model of the same weights."""

    def make(images, shots, class_name="solar cell", scales=(2, 3)):
        from anomalib.models.image.winclip import torch_model

        ours = WinClip(f"openclip/{NAME}", class_name, shots=shots, scales=scales, weights="random:4")
        ours.fit(images[: max(1, shots)])
        clip = ours.clip.model
        with pytest.MonkeyPatch.context() as patch:
            # It would always download the paper's weights.
            patch.setattr(torch_model.open_clip, "create_model_and_transforms", lambda *a, **k: (clip, None, None))
            references = as_input(ours, images[:shots]) if shots else None
            with as_the_reference_knows_it(clip.visual):
                theirs = torch_model.WinClipModel(class_name, references, scales=scales)
        return ours, theirs.eval()

    return make


@contextlib.contextmanager
def as_the_reference_knows_it(visual):
    """Give OpenCLIP's image tower the interface that the reference was written for, inside the block.

    It hands windows to the transformer as (tokens, windows, width), its layout until OpenCLIP made it (windows, tokens,
    width): the attention would run across the windows in place of the patches in one. It also makes the tower return
    its tokens.
    """
    import torch

    transformer, whole = visual.transformer, 1 + visual.grid_size[0] * visual.grid_size[1]

    class FormerLayout(torch.nn.Module):
        def forward(self, x):
            return transformer(x) if x.shape[1] == whole else transformer(x.transpose(0, 1)).transpose(0, 1)

    visual.transformer, visual.output_tokens = FormerLayout(), True
    try:
        yield
    finally:
        visual.transformer, visual.output_tokens = transformer, False


def as_input(ours, images):
    import torch

    return torch.cat([ours.clip.normalised(ours.prepare(image)) for image in images])


def answer_of(ours, theirs, images):
    import torch

    with torch.inference_mode(), as_the_reference_knows_it(theirs.clip.visual):
        return theirs(as_input(ours, images))


@pytest.mark.parametrize("shots", [0, 1, 4])
def test_scores_and_maps_are_the_references(pair, shots, solar_cells, photographs, relative_difference):
    ours, theirs = pair(solar_cells, shots)
    images = [*solar_cells[4:8], *photographs]
    scores = ours.infer(images)
    answer = answer_of(ours, theirs, images)
    assert np.ptp(scores.image_scores) > 1e-3
    assert relative_difference(scores.image_scores, answer.pred_score.numpy()) <= 1e-5
    assert relative_difference(scores.maps, answer.anomaly_map.numpy()) <= 1e-5


def test_other_scales_are_the_references_too(pair, solar_cells, relative_difference):
    ours, theirs = pair(solar_cells, 2, scales=(1, 2, 4))
    answer = answer_of(ours, theirs, solar_cells[4:8])
    scores = ours.infer(solar_cells[4:8])
    assert relative_difference(scores.image_scores, answer.pred_score.numpy()) <= 1e-5
    assert relative_difference(scores.maps, answer.anomaly_map.numpy()) <= 1e-5


def test_words_are_the_references(pair, solar_cells, relative_difference):
    from anomalib.models.image.winclip.prompting import create_prompt_ensemble

    from pyimgano.openclip.prompts import prompt_ensemble

    for class_name in ("solar cell", "transistor"):
        assert prompt_ensemble(class_name) == create_prompt_ensemble(class_name)
    ours, theirs = pair(solar_cells, 0, class_name="transistor")
    assert relative_difference(ours.texts_, theirs.text_embeddings.numpy()) <= 1e-5
