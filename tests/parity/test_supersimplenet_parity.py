"""Given the same weights and the same noise, SuperSimpleNet's maps, scores, loss and gradient are anomalib's to 1e-4.

Two differences are taken out first: the paper's code, and this project, interpolate features between corners, anomalib
does not; and anomalib squashes maps and scores by a sigmoid.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pyimgano.core.seeding import generator
from pyimgano.models.supersimplenet import SuperSimpleNet

SIDE = (96, 128)
CASES = {
    "efficientnet-lite0": ("efficientnet-lite0", "default", "tf_efficientnet_lite0", ["blocks.2", "blocks.4"]),
    "resnet18": ("timm/resnet18", "random", "resnet18", ["layer2", "layer3"]),
}
NAMES = {
    "adaptor.": "adaptor.",
    "discriminator.first.": "segdec.seg_head.0.",
    "discriminator.norm.": "segdec.seg_head.1.",
    "discriminator.last.": "segdec.seg_head.3.",
    "classifier.first.": "segdec.cls_conv.0.",
    "classifier.norm.": "segdec.cls_conv.1.",
    "classifier.last.": "segdec.cls_fc.",
}


def _theirs(name: str) -> str:
    return next(name.replace(ours, theirs) for ours, theirs in NAMES.items() if name.startswith(ours))


@pytest.fixture(scope="module", params=[(case, adapt) for case in CASES for adapt in (True, False)], ids=str)
def pair(request, solar_cells, with_our_weights):
    """Return our fitted detector and the reference with its weights."""
    import anomalib.models.image.supersimplenet.torch_model as reference

    case, adapt = request.param
    backbone, weights, theirs_name, layers = CASES[case]
    ours = SuperSimpleNet(
        backbone,
        layers,
        weights=weights,
        adapt_cls_features=adapt,
        input_size=SIDE,
        epochs=2,
        batch_size=4,
        device="cpu",
    )
    ours.fit(solar_cells[:8])
    with pytest.MonkeyPatch.context() as patch:  # it downloads the backbone's weights unless told not to
        patch.setattr(reference, "TimmFeatureExtractor", partial(reference.TimmFeatureExtractor, pre_trained=False))
        theirs = reference.SupersimplenetModel(backbone=theirs_name, layers=layers, adapt_cls_features=adapt)
    network = ours._network
    if weights == "default":
        with_our_weights(theirs.feature_extractor)
    else:
        state = network.teacher.network.state_dict()
        theirs.feature_extractor.feature_extractor.feature_extractor.load_state_dict(state)
    state = {_theirs(name): tensor for name, tensor in network.trained.state_dict().items()}
    missing = theirs.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith(("feature_extractor.", "anomaly_map_generator.")) for name in missing.missing_keys)
    _interpolate_between_corners(theirs.feature_extractor)
    return ours, theirs


def _interpolate_between_corners(extractor):
    import torch

    own = extractor.forward

    def forward(images):
        extractor.feature_extractor.eval()
        with torch.no_grad():
            layers = list(extractor.feature_extractor(images).values())
        size = [2 * side for side in layers[0].shape[2:]]
        resize = partial(torch.nn.functional.interpolate, size=size, mode="bilinear")
        features = extractor.pooler(torch.cat([resize(layer, align_corners=True) for layer in layers], dim=1))
        if not getattr(extractor, "checked", False):  # all that differs is where the interpolation puts the corners
            plain = extractor.pooler(torch.cat([resize(layer, align_corners=False) for layer in layers], dim=1))
            assert torch.equal(plain, own(images))
            assert float((plain - features).norm() / features.norm()) > 0.01
            extractor.checked = True
        return features

    extractor.forward = forward


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
    assert np.ptp(scores.image_scores) > 0.01 * np.abs(scores.image_scores).max()
    squashed = [1.0 / (1.0 + np.exp(-values.astype(np.float64))) for values in (scores.image_scores, scores.maps)]
    assert relative_difference(squashed[0], answer.pred_score.numpy()) <= 1e-4
    assert relative_difference(squashed[1], answer.anomaly_map[:, 0].numpy()) <= 1e-4


@pytest.mark.parametrize("supervised", [False, True])
def test_the_loss_and_its_gradient_are_the_references(pair, normalise, solar_cells, supervised):
    import anomalib.models.image.supersimplenet.anomaly_generator as noise
    import torch
    from anomalib.models.image.supersimplenet.loss import SSNLoss

    from pyimgano.models.feature_discriminator import noise_vectors
    from pyimgano.models.supersimplenet_network import noise_regions

    ours, theirs = pair
    batch = solar_cells[20:25]
    masks, labels = np.zeros((len(batch), *SIDE), dtype=bool), torch.zeros(len(batch))
    if supervised:
        masks[1, 11:50, 30:90] = masks[3, :, :21] = True
        labels[[1, 3]] = 1.0
    theirs.segdec.stop_grad = not supervised
    theirs.load_state_dict(
        {_theirs(name): tensor for name, tensor in ours._network.trained.state_dict().items()}, strict=False
    )

    chance = generator(ours.seed, "SuperSimpleNet", "step", ours._steps)
    grid = (2 * SIDE[0] // 8, 2 * SIDE[1] // 8)
    regions = torch.from_numpy(noise_regions(2 * len(batch), grid, threshold=ours.perlin_threshold, chance=chance))
    shrunk = theirs.downsample_mask(torch.from_numpy(masks), *grid)[:, 0] > 0
    noisy = regions & ~torch.cat([shrunk, shrunk])
    assert 0 < int(noisy.sum()) < noisy.numel() / 2
    channels = theirs.adaptor.projection.in_channels
    drawn = torch.zeros(2 * len(batch), channels, *grid)
    vectors = noise_vectors(int(noisy.sum()), channels, sigma=0.015, chance=chance, device=torch.device("cpu"))
    drawn.permute(0, 2, 3, 1)[noisy] = vectors

    theirs.train()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs.anomaly_generator, "generate_perlin", lambda *_: regions[:, None].float())
        patch.setattr(noise.torch, "normal", lambda **_: drawn)
        expected = SSNLoss()(*theirs(normalise(batch), torch.from_numpy(masks), labels))
    theirs.zero_grad()
    expected.backward()

    parameters = ours.trainable("full")
    given = [mask if label else None for mask, label in zip(masks, labels)]
    loss = ours.training_step(batch, given if supervised else None)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    reference = dict(theirs.named_parameters())
    gradients = {name: p.grad for name, p in ours._network.trained.named_parameters()}
    assert len(gradients) == len(parameters)
    for name, gradient in gradients.items():
        # A bias in front of BatchNorm has no gradient but rounding's.
        if name not in ("adaptor.projection.bias", "discriminator.first.bias", "classifier.first.bias"):
            theirs_of_it = reference[_theirs(name)].grad
            # Rounding moves some activations across a ReLU's zero, and BatchNorm spreads it: 0.001 on some machines.
            assert float((gradient - theirs_of_it).norm() / theirs_of_it.norm()) <= 1e-2, name
