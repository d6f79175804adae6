"""Given the same teacher and student, STFPM's loss, scores and maps are anomalib's to 1e-4."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pyimgano.models.stfpm import STFPM

SIDE = 96
CASES = {
    "efficientnet-lite0": (
        "efficientnet-lite0",
        "default",
        "tf_efficientnet_lite0",
        ["blocks.1", "blocks.2", "blocks.4"],
    ),
    "resnet18": ("timm/resnet18", "random", "resnet18", ["layer1", "layer2", "layer3"]),
}


@pytest.fixture(scope="module", params=CASES)
def pair(request, solar_cells, with_our_weights):
    """Return our fitted detector and the reference with its networks' weights."""
    import anomalib.models.image.stfpm.torch_model as reference

    backbone, weights, theirs_name, layers = CASES[request.param]
    ours = STFPM(backbone, layers, weights=weights, input_size=SIDE, epochs=2, batch_size=4, device="cpu")
    ours.fit(solar_cells[:8])
    with pytest.MonkeyPatch.context() as patch:  # it downloads the teacher's weights unless told not to
        offline = partial(reference.TimmFeatureExtractor, pre_trained=False)
        patch.setattr(reference, "TimmFeatureExtractor", lambda pre_trained, **options: offline(**options))
        theirs = reference.STFPMModel(layers=layers, backbone=theirs_name)
    network = ours._network
    if weights == "default":
        with_our_weights(_Only(theirs.teacher_model))
        student = network.trained.network.body
    else:
        theirs.teacher_model.feature_extractor.load_state_dict(network.teacher.network.state_dict())
        student = network.trained.network
    # Of an EfficientNet the reference keeps the stages behind the last layer, which nothing uses.
    found = theirs.student_model.feature_extractor.load_state_dict(student.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert all(name.startswith(("blocks.5", "blocks.6")) for name in found.missing_keys)
    return ours, theirs


class _Only:
    """A model of the reference that has nothing but a feature extractor."""

    def __init__(self, feature_extractor):
        self.feature_extractor = feature_extractor

    def eval(self):
        return self


@pytest.fixture(scope="module")
def normalise(pair):
    """Return a function from images to the reference's input."""
    import torch

    ours, _ = pair
    backbone = ours.extractor.backbone

    def convert(images):
        pixels = torch.from_numpy(np.stack([ours.prepare(image) for image in images])).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
        return (pixels - mean) / std

    return convert


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(request, pair, normalise, relative_difference, images):
    import torch

    ours, theirs = pair
    chosen = request.getfixturevalue(images)[-8:]
    scores = ours.infer(chosen)
    with torch.inference_mode():
        answer = theirs.eval()(normalise(chosen))
    assert np.ptp(scores.image_scores) > 0.01 * scores.image_scores.max()
    assert relative_difference(scores.image_scores, answer.pred_score[:, 0].numpy()) <= 1e-4
    assert relative_difference(scores.maps, answer.anomaly_map[:, 0].numpy()) <= 1e-4


def test_the_loss_and_its_gradient_are_the_references_over_the_number_of_images(pair, normalise, solar_cells):
    """The reference sums over the images of a batch; the paper's code takes their mean."""
    import torch
    from anomalib.models.image.stfpm.loss import STFPMLoss

    ours, theirs = pair
    batch = solar_cells[20:26]
    theirs.train()
    theirs.teacher_model.eval()
    expected = STFPMLoss()(*theirs(normalise(batch)))
    expected.backward()
    parameters = ours.trainable("full")
    loss = ours.training_step(batch)
    loss.backward()
    assert float(loss.detach()) * len(batch) == pytest.approx(float(expected.detach()), rel=1e-4)
    gradient = torch.cat([parameter.grad.flatten() for parameter in parameters]) * len(batch)
    theirs_used = [
        parameter.grad.flatten() for parameter in theirs.student_model.parameters() if parameter.grad is not None
    ]
    their_gradient = torch.cat(theirs_used)
    assert float((gradient - their_gradient).norm() / their_gradient.norm()) <= 1e-3
