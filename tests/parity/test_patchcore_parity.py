"""Given the same weights, layers and memory bank, PatchCore's scores and maps are anomalib's to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.patchcore import PatchCore

LAYERS = ["blocks.2", "blocks.4"]


@pytest.fixture(scope="module")
def fitted(solar_cells):
    detector = PatchCore(
        layers=LAYERS, coreset_sampling_ratio=0.05, map_interpolation="nearest", batch_size=4, runtime="torch"
    )
    return detector.fit(solar_cells[:32])


def their_model(fitted, with_our_weights, num_neighbors):
    import torch
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel(
        layers=LAYERS, backbone="tf_efficientnet_lite0", pre_trained=False, num_neighbors=num_neighbors
    )
    model = with_our_weights(model)
    model.memory_bank = torch.from_numpy(fitted.memory_bank_)
    return model


@pytest.mark.parametrize("num_neighbors", [9, 1])
@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(
    request, fitted, with_our_weights, as_input, relative_difference, images, num_neighbors
):
    import torch

    chosen = request.getfixturevalue(images)
    chosen = chosen[48:] if images == "solar_cells" else chosen
    fitted.set_params(num_neighbors=num_neighbors)
    ours = fitted.infer(chosen)
    with torch.inference_mode():
        theirs = their_model(fitted, with_our_weights, num_neighbors)(as_input([fitted.prepare(i) for i in chosen]))
    assert np.ptp(ours.image_scores) > 0.01 * ours.image_scores.max()
    assert relative_difference(ours.image_scores, theirs.pred_score.numpy()) <= 1e-4
    assert relative_difference(ours.maps, theirs.anomaly_map[:, 0].numpy()) <= 1e-4


def test_patch_features_are_the_references(
    fitted, solar_cells, photographs, with_our_weights, as_input, relative_difference
):
    import torch

    from pyimgano.models.patches import locally_aware_patches

    images = [fitted.prepare(image) for image in (*solar_cells[:4], *photographs)]
    model = their_model(fitted, with_our_weights, 1).train()
    model.feature_extractor.eval()
    with torch.inference_mode():
        theirs = model(as_input(images)).numpy()
    ours = locally_aware_patches(fitted.extractor.extract(images))
    assert relative_difference(ours.reshape(-1, ours.shape[-1]), theirs) <= 1e-5


def test_the_coreset_covers_the_features_as_well_as_the_references(fitted, solar_cells, reference):
    """Its greedy projects the features first, so the selections differ; ours must not cover them worse."""
    import torch
    from anomalib.models.components import KCenterGreedy

    from pyimgano.models.coreset import greedy_coreset
    from pyimgano.models.neighbors import Neighbors
    from pyimgano.models.patches import locally_aware_patches

    images = [fitted.prepare(image) for image in solar_cells[:4]]
    patches = locally_aware_patches(fitted.extractor.extract(images))
    features = patches.reshape(-1, patches.shape[-1])
    torch.manual_seed(0)
    theirs = KCenterGreedy(torch.from_numpy(features), sampling_ratio=0.05).select_coreset_idxs()
    ours = greedy_coreset(features, len(theirs), start=theirs[0])
    radius = [float(Neighbors(features[chosen]).query(features)[0].max()) for chosen in (ours, theirs)]
    assert radius[0] <= radius[1]
