"""Given the same weights and memory bank, AnomalyDINO's tokens, distances, masks and scores are anomalib's to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.anomaly_dino import AnomalyDino
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.foreground import foreground_mask

NAME = "vit_small_patch14_dinov2"
SIZE = 224


@pytest.fixture(scope="module")
def weights(reference, tmp_path_factory):
    """A file of seeded random weights: those of DINOv2 come with no package."""
    import timm
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model(NAME, pretrained=False).state_dict()
        state["pos_embed"] = torch.randn_like(state["pos_embed"])
        for name in state:  # layer scales as trained ones are; timm's first values leave the input as it is
            if name.endswith(".gamma"):
                state[name] = torch.full_like(state[name], 0.3)
    path = tmp_path_factory.mktemp("weights") / "dino.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def ours(weights, solar_cells):
    detector = AnomalyDino(
        f"timm/{NAME}", weights=str(weights), input_size=SIZE, augment_rotations="off", masking="off", runtime="torch"
    )
    return detector.fit(solar_cells[:6])


@pytest.fixture(scope="module")
def theirs(ours, weights):
    import torch
    from anomalib.models.image.anomaly_dino import torch_model
    from safetensors.torch import load_file

    original = torch_model.TimmFeatureExtractor
    size = ours.extractor.input_size
    with pytest.MonkeyPatch.context() as patch:
        # It would change how timm resamples embeddings of positions, for the whole process.
        patch.setattr(
            "anomalib.models.components.feature_extractors.timm._disable_pos_embed_antialiasing", lambda: None
        )
        # It always asks for pretrained weights, which would be downloaded.
        patch.setattr(
            torch_model, "TimmFeatureExtractor", lambda **options: original(**{**options, "pre_trained": False})
        )
        model = torch_model.AnomalyDINOModel(encoder_name=NAME)
    network = model.feature_encoder
    inner = next(m for m in network.modules() if type(m).__name__ == "VisionTransformer")
    inner.load_state_dict(load_file(weights), strict=True)
    inner.set_input_size(img_size=size)  # resamples them as timm does
    model.memory_bank = torch.from_numpy(ours.memory_bank_)
    return model.eval()


@pytest.fixture(scope="module")
def normalised(ours):
    def convert(images):
        import torch

        pixels = np.stack([ours.prepare(image) for image in images]).astype(np.float32)
        backbone = ours.extractor.backbone
        pixels = (pixels - np.float32(backbone.mean)) / np.float32(backbone.std)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    return convert


def test_tokens_are_the_references(ours, theirs, normalised, solar_cells, photographs, relative_difference):
    import torch

    images = [*solar_cells[:2], *photographs]
    with torch.inference_mode():
        tokens = theirs.extract_features(normalised(images)).numpy()
    patches = ours._patches([ours.prepare(image) for image in images])
    assert relative_difference(patches.reshape(tokens.shape), tokens) <= 1e-4


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(request, ours, theirs, normalised, relative_difference, images):
    import torch

    chosen = request.getfixturevalue(images)
    chosen = chosen[6:12] if images == "solar_cells" else chosen
    scores = ours.infer(chosen)
    with torch.inference_mode():
        answer = theirs(normalised(chosen))
    assert np.ptp(scores.image_scores) > 0.01 * scores.image_scores.max()
    assert relative_difference(scores.image_scores, answer.pred_score[:, 0].numpy()) <= 1e-4
    # Its map repeats the patches' distances where ours interpolates between them, as the paper does.
    distances, _ = ours._neighbors.query(_unit(ours._patches([ours.prepare(image) for image in chosen])))
    grids = (distances**2 / 2).reshape(len(chosen), 16, 16)
    maps = render_maps(grids, (SIZE, SIZE), sigma=4.0, interpolation="nearest")
    assert relative_difference(maps, answer.anomaly_map[:, 0].numpy()) <= 1e-4
    np.testing.assert_array_equal(scores.maps, render_maps(grids, (SIZE, SIZE), sigma=4.0))


def _unit(patches: np.ndarray) -> np.ndarray:
    from pyimgano.models.patches import unit_vectors

    return unit_vectors(patches.reshape(-1, patches.shape[-1]))


@pytest.mark.parametrize("threshold", [1.0, 5.0])
def test_foreground_masks_are_the_references(ours, theirs, solar_cells, photographs, threshold):
    patches = ours._patches([ours.prepare(image) for image in [*solar_cells[:4], *photographs]])
    masks = np.stack([foreground_mask(features, threshold) for features in patches])
    expected = theirs.compute_background_masks(patches.reshape(len(patches), 256, -1), (16, 16), threshold=threshold)
    assert 0.05 < masks.mean() < 0.95
    assert np.mean(masks.reshape(len(masks), -1) == expected) >= 0.999  # its component is found by random projections
