"""Given the same weights, layer and training images, DFM's scores and maps are anomalib's to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.dfm import Dfm

LAYER = "blocks.4"
SIZE = 128
N_TRAIN = 40


@pytest.fixture(scope="module", params=["fre", "nll"])
def ours(request, solar_cells):
    return Dfm(layers=[LAYER], input_size=SIZE, score=request.param, runtime="torch").fit(solar_cells[:N_TRAIN])


@pytest.fixture(scope="module")
def theirs(ours, solar_cells, with_our_weights, as_input):
    import torch
    from anomalib.models.image.dfm.torch_model import DFMModel

    # Its share of the variance keeps one component too few to reach it, so it is told how many.
    model = DFMModel(
        backbone="tf_efficientnet_lite0",
        layer=LAYER,
        pre_trained=False,
        n_comps=len(ours.components_),
        score_type="fre",
    )
    model = with_our_weights(model)
    model.train()
    model.feature_extractor.eval()
    with torch.inference_mode():
        features = model(as_input([ours.prepare(image) for image in solar_cells[:N_TRAIN]]).contiguous())
        model.fit()
        if ours.score == "nll":
            # What its SingleClassGaussian.fit does, whose torch.mean(device=…) torch refuses.
            reduced = model.pca_model.transform(features).T
            model.gaussian_model.mean_vec = reduced.mean(dim=1)
            centred = (reduced - model.gaussian_model.mean_vec[:, None]) / N_TRAIN**0.5
            left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
            model.gaussian_model.u_mat, model.gaussian_model.sigma_mat = left, singular
    return model.eval()


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(request, ours, theirs, as_input, relative_difference, images):
    import torch
    from torch.nn.functional import interpolate

    chosen = request.getfixturevalue(images)
    chosen = chosen[N_TRAIN:] if images == "solar_cells" else chosen
    scores = ours.infer(chosen)
    with torch.inference_mode():
        features, shape = theirs.get_features(as_input([ours.prepare(image) for image in chosen]).contiguous())
        theirs.score_type = ours.score
        expected, maps = theirs.score(features, shape)
    assert np.ptp(scores.image_scores) > 0.01 * np.abs(scores.image_scores).max()
    assert relative_difference(scores.image_scores, expected.numpy()) <= 1e-4
    if ours.score == "fre":
        maps = interpolate(maps, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
        assert relative_difference(scores.maps, maps[:, 0].numpy()) <= 1e-4
    else:
        assert scores.maps is None


def test_ours_holds_the_variance_that_was_asked_for_and_theirs_one_component_less(solar_cells, reference):
    import torch
    from anomalib.models.components import PCA

    ours = Dfm(layers=[LAYER], input_size=SIZE, variance=0.9, runtime="torch").fit(solar_cells[:N_TRAIN])
    maps = ours.extractor.extract([ours.prepare(image) for image in solar_cells[:N_TRAIN]])
    vectors = ours._pool(maps).reshape(N_TRAIN, -1)
    reference = PCA(n_components=0.9)
    reference.fit(torch.from_numpy(vectors))
    share = ours.variances_.sum() / vectors.var(axis=0).sum()
    assert share >= 0.9 > ours.variances_[:-1].sum() / vectors.var(axis=0).sum()
    assert reference.singular_vectors.shape[1] == len(ours.components_) - 1
