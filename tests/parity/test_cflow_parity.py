"""With the same backbone, decoders and vectors, CFLOW's likelihoods, loss and maps are anomalib's to 1e-4.

The reference carries FrEIA's coupling block.
"""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.core.seeding import generator
from pyimgano.models.cflow import CFlow
from pyimgano.models.positional_encoding import positional_encoding

SIZE = (96, 64)
LAYERS = ["layer2", "layer3", "layer4"]
FIBRES = 40


@pytest.fixture(scope="module")
def pair(reference, solar_cells, load_block):
    """Return our fitted detector and the reference with its networks' weights."""
    from anomalib.models.image.cflow.torch_model import CflowModel

    ours = CFlow(
        "timm/resnet18", weights="random", input_size=SIZE, fibres=FIBRES, epochs=4, batch_size=4, device="cpu"
    )
    ours.fit(solar_cells[:8])
    theirs = CflowModel("resnet18", LAYERS, pre_trained=False)
    network = ours._network
    theirs.encoder.feature_extractor.load_state_dict(network.teacher.network.state_dict())
    for decoder, their_decoder in zip(network.trained["decoders"], theirs.decoders):
        assert len(their_decoder.module_list) == len(decoder.blocks) == 8
        for block, their_block in zip(decoder.blocks, their_decoder.module_list):
            load_block(block, their_block)
    return ours, theirs


def as_their_input(detector, images):
    import torch

    backbone = detector.extractor.backbone
    pixels = torch.from_numpy(np.stack([detector.prepare(image) for image in images])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    return ((pixels - mean) / std).contiguous()


def their_likelihoods(theirs, images):
    """Return the log-likelihood per channel of all positions, as the reference's own parts give it: a list by layer."""
    import torch
    from anomalib.models.image.cflow.utils import get_logp, positional_encoding_2d

    with torch.no_grad():
        features = theirs.encoder(images)
    found = []
    for layer, decoder in zip(LAYERS, theirs.decoders):
        count, channels, height, width = features[layer].shape
        rows = features[layer].permute(0, 2, 3, 1).reshape(-1, channels)
        positions = positional_encoding_2d(128, height, width).flatten(1).T.repeat(count, 1)
        z, log_det = decoder(rows, [positions])
        found.append(get_logp(channels, z, log_det) / channels)
    return found


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (32, 17)])
def test_the_encoding_of_positions_is_the_references(reference, height, width):
    from anomalib.models.image.cflow.utils import positional_encoding_2d

    expected = positional_encoding_2d(128, height, width)
    np.testing.assert_allclose(positional_encoding(128, height, width).numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_likelihoods_are_the_references(request, pair, relative_difference, images):
    import torch

    ours, theirs = pair
    chosen = request.getfixturevalue(images)[-5:]
    pixels = torch.from_numpy(np.stack([ours.prepare(image) for image in chosen]))
    with torch.no_grad():
        likelihoods = ours._network(pixels)
        expected = their_likelihoods(theirs, as_their_input(ours, chosen))
    for mine, answer in zip(likelihoods, expected):
        assert relative_difference(mine.flatten().numpy(), answer.numpy()) <= 1e-4


def test_the_map_of_one_image_is_the_references_up_to_its_peaks(pair, solar_cells, relative_difference):
    """The reference takes the greatest likelihoods and sum of the images that it is given; here they are learned.

    With the peaks of the very image, the maps differ by a constant: what the greatest sum lacks of its bound.
    """
    import torch

    ours, theirs = pair
    image = solar_cells[-1:]
    learned = ours._peaks.clone()
    with torch.inference_mode():
        answer = theirs.eval()(as_their_input(ours, image))
    try:
        with torch.no_grad():
            of_image = ours._network(torch.from_numpy(ours.prepare(image[0])[None]))
        ours._peaks.copy_(torch.stack([layer.max() for layer in of_image]))
        ours_map = ours.infer(image).maps[0]
    finally:
        ours._peaks.copy_(learned)
    theirs_map = answer.anomaly_map.squeeze().numpy()
    assert np.ptp(theirs_map) > 0.01
    assert theirs_map.min() == 0.0
    assert relative_difference(ours_map - ours_map.min(), theirs_map) <= 1e-4


def test_the_loss_and_its_gradient_are_the_references_on_the_vectors_drawn(pair, solar_cells):
    import torch

    ours, theirs = pair
    batch = solar_cells[20:24]
    chance = generator(ours.seed, "CFlow", "step", ours._steps)
    losses = []
    for likelihood in their_likelihoods(theirs.train(), as_their_input(ours, batch)):
        drawn = torch.from_numpy(chance.permutation(len(likelihood))[:FIBRES])
        losses.append(-torch.nn.functional.logsigmoid(likelihood[drawn]).mean())
    expected = torch.stack(losses).sum()
    expected.backward()
    ours.trainable("full")
    loss = ours.training_step(batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    # To 1e-2: where a ReLU's input is next to zero, rounding decides whether its gradient passes.
    for decoder, their_decoder in zip(ours._network.trained["decoders"], theirs.decoders):
        for block, their_block in zip(decoder.blocks, their_decoder.module_list):
            for name in ("subnet.0.weight", "subnet.2.bias", "global_scale", "global_offset"):
                gradient = block.get_parameter(name).grad
                expected_gradient = their_block.get_parameter(name).grad.view(gradient.shape)
                assert float((gradient - expected_gradient).norm() / expected_gradient.norm()) <= 1e-2, name
