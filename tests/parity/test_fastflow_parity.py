"""With the same backbone, normalisation and flows, FastFlow's loss, gradient, scores and maps are anomalib's to 1e-4.

The reference carries FrEIA's coupling block.
"""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.fastflow import FastFlow

SIZE = (64, 96)


@pytest.fixture(scope="module", params=[False, True], ids=["alternating", "conv3x3-only"])
def pair(request, reference, solar_cells, load_block):
    """Return our fitted detector and the reference with its networks' weights."""
    from anomalib.models.image.fastflow.torch_model import FastflowModel

    ours = FastFlow(
        "timm/resnet18",
        weights="random",
        input_size=SIZE,
        conv3x3_only=request.param,
        epochs=2,
        batch_size=4,
        device="cpu",
    )
    ours.fit(solar_cells[:8])
    theirs = FastflowModel(SIZE, "resnet18", pre_trained=False, conv3x3_only=request.param)
    network = ours._network
    found = theirs.feature_extractor.load_state_dict(network.teacher.network.state_dict(), strict=False)
    assert not found.unexpected_keys
    for norm, flow, their_norm, their_flow in zip(
        network.trained["norms"], network.trained["flows"], theirs.norms, theirs.fast_flow_blocks
    ):
        their_norm.weight.data.copy_(norm.weight.detach())
        their_norm.bias.data.copy_(norm.bias.detach())
        assert len(their_flow.module_list) == len(flow.blocks) == 8
        for block, their_block in zip(flow.blocks, their_flow.module_list):
            load_block(block, their_block)
    return ours, theirs


def as_their_input(detector, images):
    import torch

    backbone = detector.extractor.backbone
    pixels = torch.from_numpy(np.stack([detector.prepare(image) for image in images])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    return ((pixels - mean) / std).contiguous()


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(request, pair, relative_difference, images):
    import torch

    ours, theirs = pair
    chosen = request.getfixturevalue(images)[-5:]
    scores = ours.infer(chosen)
    with torch.inference_mode():
        answer = theirs.eval()(as_their_input(ours, chosen))
    assert np.ptp(scores.maps) > 0.01
    assert relative_difference(scores.image_scores, answer.pred_score[:, 0].numpy()) <= 1e-4
    assert relative_difference(scores.maps, answer.anomaly_map[:, 0].numpy()) <= 1e-4


def test_the_loss_is_the_references_without_the_determinant_of_the_learned_scales(pair, solar_cells):
    """The reference leaves out how the normalisation's scales change volumes; see the Notes of FastFlow."""
    from anomalib.models.image.fastflow.loss import FastflowLoss

    ours, theirs = pair
    batch = solar_cells[20:24]
    expected = FastflowLoss.forward(*theirs.train()(as_their_input(ours, batch)))
    expected.backward()
    scales = [norm.weight for norm in theirs.norms]
    left_out = sum(float(scale.detach().double().abs().log().sum()) for scale in scales)
    assert abs(left_out) > 1.0
    ours.trainable("full")
    loss = ours.training_step(batch)
    loss.backward()
    assert float(loss.detach()) + left_out == pytest.approx(float(expected.detach()), rel=1e-4)
    # Gradients to 1e-2: where a ReLU's input is next to zero, rounding decides whether its gradient passes.
    for norm, scale in zip(ours._network.trained["norms"], scales):
        counted = scale.grad - 1.0 / scale.detach()
        assert float((norm.weight.grad - counted).norm() / counted.norm()) <= 1e-2
    for flow, their_flow in zip(ours._network.trained["flows"], theirs.fast_flow_blocks):
        for block, their_block in zip(flow.blocks, their_flow.module_list):
            for name in ("subnet.0.weight", "subnet.2.bias", "global_scale", "global_offset"):
                gradient = block.get_parameter(name).grad
                expected_gradient = their_block.get_parameter(name).grad.view(gradient.shape)
                assert float((gradient - expected_gradient).norm() / expected_gradient.norm()) <= 1e-2, name
