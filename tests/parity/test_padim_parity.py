"""Given the same weights, layers, channels and training images, PaDiM's scores and maps are anomalib's to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.padim import Padim
from pyimgano.models.patches import aligned_patches

LAYERS = ["blocks.1", "blocks.2", "blocks.4"]
EPSILON = 0.01001  # the reference adds 0.01 to the covariances' diagonals, and then 1e-5
N_TRAIN = 48


def fit(images, n_features):
    return Padim(layers=LAYERS, n_features=n_features, epsilon=EPSILON, batch_size=5, runtime="torch").fit(images)


def fit_theirs(ours, images, with_our_weights, as_input):
    import torch
    from anomalib.models.image.padim.torch_model import PadimModel

    model = PadimModel(
        backbone="tf_efficientnet_lite0", layers=LAYERS, pre_trained=False, n_features=len(ours.channels_)
    )
    model = with_our_weights(model)
    model.idx = torch.from_numpy(ours.channels_)
    model.train()
    model.feature_extractor.eval()
    with torch.inference_mode():
        for start in range(0, len(images), 8):
            model(as_input([ours.prepare(image) for image in images[start : start + 8]]))
        model.fit()
    return model.eval()


@pytest.fixture(scope="module")
def ours(solar_cells):
    return fit(solar_cells[:N_TRAIN], 40)


@pytest.fixture(scope="module")
def theirs(ours, solar_cells, with_our_weights, as_input):
    return fit_theirs(ours, solar_cells[:N_TRAIN], with_our_weights, as_input)


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(request, ours, theirs, as_input, relative_difference, images):
    import torch

    chosen = request.getfixturevalue(images)
    chosen = chosen[N_TRAIN:] if images == "solar_cells" else chosen
    scores = ours.infer(chosen)
    with torch.inference_mode():
        answer = theirs(as_input([ours.prepare(image) for image in chosen]))
    assert np.ptp(scores.image_scores) > 0.01 * scores.image_scores.max()
    assert relative_difference(scores.image_scores, answer.pred_score[:, 0].numpy()) <= 1e-4
    assert relative_difference(scores.maps, answer.anomaly_map[:, 0].numpy()) <= 1e-4


def test_with_fewer_images_than_features_ours_is_nearer_to_the_truth(
    solar_cells, with_our_weights, as_input, relative_difference
):
    """The reference inverts in float32, which then costs it the fourth digit; the truth is computed in float64."""
    import torch

    train, test = solar_cells[:24], solar_cells[N_TRAIN : N_TRAIN + 6]
    ours = fit(train, 60)
    theirs = fit_theirs(ours, train, with_our_weights, as_input)

    def vectors(images):
        maps = ours.extractor.extract([ours.prepare(image) for image in images])
        patches = aligned_patches(maps, ours.channels_)
        return patches.reshape(len(images), -1, 60).astype(np.float64)

    features = vectors(train)
    centred = (features - features.mean(axis=0)).transpose(1, 2, 0)
    covariance = centred @ centred.transpose(0, 2, 1) / (len(train) - 1) + EPSILON * np.eye(60)
    offset = vectors(test) - features.mean(axis=0)
    squared = np.einsum("npi,pij,npj->np", offset, np.linalg.inv(covariance), offset, optimize=True)
    truth = render_maps(np.sqrt(squared).reshape(len(test), 56, 56), (224, 224), sigma=4.0)
    with torch.inference_mode():
        answer = theirs(as_input([ours.prepare(image) for image in test]))
    error = relative_difference(ours.infer(test).maps, truth)
    assert error <= 1e-6
    assert error < relative_difference(answer.anomaly_map[:, 0].numpy(), truth) <= 1e-3
