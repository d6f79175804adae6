"""Parts of flows: their determinants are those of autograd's Jacobians, and they are made as documented."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from pyimgano.core.errors import ParameterError
from pyimgano.models.cflow import CFlow
from pyimgano.models.channel_permutation import ChannelPermutation
from pyimgano.models.coupling_flow import CouplingBlock, CouplingFlow, log_likelihood
from pyimgano.models.fastflow import FastFlow
from pyimgano.models.fastflow_network import FeatureNorm
from pyimgano.models.positional_encoding import positional_encoding

CONDITION = 4


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def convolutions(kernel: int):
    def make(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, 6, kernel, padding=kernel // 2), nn.Tanh(), nn.Conv2d(6, outputs, 1))

    return make


def perceptron(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 9), nn.Tanh(), nn.Linear(9, outputs))


def far_from_the_identity(module: nn.Module) -> nn.Module:
    """Return the module in float64 with weights that make every term of the determinant count."""
    module = module.double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (2.0 if "subnet" in name else 3.0))
    return module


def jacobian_log_det(function, x: torch.Tensor) -> float:
    jacobian = torch.autograd.functional.jacobian(function, x).reshape(x.numel(), x.numel())
    sign, value = torch.linalg.slogdet(jacobian)
    assert abs(float(sign)) == 1.0
    return float(value)


@pytest.mark.parametrize("channels", [2, 5, 8])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_determinant_of_a_block_of_feature_maps_is_that_of_its_jacobian(channels, kernel) -> None:
    block = far_from_the_identity(CouplingBlock(channels, convolutions(kernel), clamp=2.0))
    x = torch.randn(2, channels, 3, 4, dtype=torch.float64)
    y, log_det = block(x)
    assert y.shape == x.shape
    for index in range(2):
        expected = jacobian_log_det(lambda one: block(one)[0], x[index : index + 1])
        assert abs(expected) > 0.1
        assert float(log_det[index].detach()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("channels", [2, 5, 8])
def test_the_determinant_of_a_conditional_flow_of_vectors_is_that_of_its_jacobian(channels) -> None:
    flow = far_from_the_identity(CouplingFlow(channels, [perceptron] * 3, clamp=1.9, condition=CONDITION))
    x = torch.randn(3, channels, dtype=torch.float64)
    condition = torch.randn(3, CONDITION, dtype=torch.float64)
    _, log_det = flow(x, condition)
    for index in range(3):
        one = slice(index, index + 1)
        expected = jacobian_log_det(lambda row, one=one: flow(row, condition[one])[0], x[one])
        assert float(log_det[index].detach()) == pytest.approx(expected, rel=1e-9)
    other = flow(x, condition + 1.0)[1]
    assert not torch.allclose(other, log_det)


def test_the_determinant_of_a_flow_of_feature_maps_is_that_of_its_jacobian() -> None:
    flow = far_from_the_identity(CouplingFlow(6, [convolutions(3), convolutions(1)] * 2, clamp=2.0))
    x = torch.randn(1, 6, 2, 3, dtype=torch.float64)
    expected = jacobian_log_det(lambda one: flow(one)[0], x)
    assert float(flow(x)[1].detach()) == pytest.approx(expected, rel=1e-9)


def test_the_determinant_of_learned_scales_is_that_of_the_norms_jacobian_over_that_without_them() -> None:
    """What normalisation itself does has no determinant: it forgets the mean and the variance of its input."""
    norm = FeatureNorm((3, 2, 2), learned=True).double()
    with torch.no_grad():
        norm.weight.normal_()
    normal = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    expected = jacobian_log_det(lambda x: x * norm.weight + norm.bias, normal)
    assert float(norm.log_det().detach()) == pytest.approx(expected, rel=1e-9)
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    flat = x.flatten(1)
    standard = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    expected_maps = standard.view_as(x) * norm.weight + norm.bias
    assert torch.allclose(norm(x), expected_maps)


def test_a_norm_that_learns_nothing_normalises_each_position() -> None:
    norm = FeatureNorm((5, 2, 3), learned=False)
    found = norm(3.0 * torch.randn(2, 5, 2, 3) + 7.0)
    assert list(norm.parameters()) == []
    assert float(norm.log_det()) == 0.0
    assert torch.allclose(found.mean(1), torch.zeros(2, 2, 3), atol=1e-5)
    assert torch.allclose(found.var(1, correction=0), torch.ones(2, 2, 3), atol=1e-3)


def test_a_likelihood_is_the_normal_density_changed_by_the_determinant() -> None:
    z = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    log_det = torch.randn(4, dtype=torch.float64)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2, 3)) + log_det
    assert torch.allclose(log_likelihood(z, log_det), expected)


def test_a_conditional_flow_is_a_density_that_integrates_to_one() -> None:
    flow = CouplingFlow(2, [perceptron] * 4, clamp=1.9, condition=CONDITION).double()
    axis = torch.linspace(-12.0, 12.0, 481, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    condition = torch.randn(1, CONDITION, dtype=torch.float64).expand(len(grid), CONDITION)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        mass = log_likelihood(*flow(grid, condition)).exp().sum() * float(axis[1] - axis[0]) ** 2
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


def test_an_untrained_block_permutes_and_hardly_does_more() -> None:
    block = CouplingBlock(8, perceptron, clamp=1.9)
    x = torch.randn(5, 8)
    with torch.no_grad():
        y, log_det = block(x)
    assert torch.allclose(y, x[:, block.permutation.order], atol=0.5)
    assert float(log_det.abs().max()) < 1.0
    assert torch.equal(y[:, block.permutation.order.argsort()][:, :4].round(decimals=5), x[:, :4].round(decimals=5))


@pytest.mark.parametrize("shape", [(4, 7), (2, 7, 3, 5)])
def test_a_permutation_and_its_gradient_are_indexings(shape) -> None:
    permutation = ChannelPermutation(7)
    assert sorted(permutation.order.tolist()) == list(range(7))
    assert permutation.order.tolist() != list(range(7))
    for memory in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(shape).contiguous(memory_format=memory if len(shape) == 4 else torch.contiguous_format)
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        factor = torch.randn(shape)
        found, expected = permutation(ours), theirs[:, permutation.order]
        assert torch.equal(found, expected)
        (found * factor).sum().backward()
        (expected * factor).sum().backward()
        assert torch.equal(ours.grad, theirs.grad)


def test_permutations_are_drawn_once_and_saved() -> None:
    first, second = (CouplingFlow(16, [perceptron] * 2, clamp=1.9) for _ in range(2))
    orders = [block.permutation.order.tolist() for block in (*first.blocks, *second.blocks)]
    assert len({tuple(order) for order in orders}) == 4
    x = torch.randn(3, 16)
    assert not torch.equal(first(x)[0], second(x)[0])
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x)[0], second(x)[0])


@pytest.mark.parametrize(("count", "last"), [(1, 1), (3, 1), (8, 2), (20, 5)])
def test_the_last_blocks_are_a_quarter_of_them(count, last) -> None:
    flow = CouplingFlow(4, [perceptron] * count, clamp=1.9)
    expected = [id(parameter) for block in flow.blocks[-last:] for parameter in block.parameters()]
    assert [id(parameter) for parameter in flow.last_blocks()] == expected


def test_positions_are_encoded_by_sines_and_cosines_of_the_column_and_then_of_the_row() -> None:
    found = positional_encoding(8, 5, 9).numpy()
    assert found.shape == (8, 5, 9)
    for row, column in ((0, 0), (4, 8), (2, 7)):
        expected = [
            wave(position / 1e4 ** (k / 4))
            for position in (column, row)
            for k in (0, 2)
            for wave in (math.sin, math.cos)
        ]
        np.testing.assert_allclose(found[:, row, column], expected, atol=1e-5)
    assert len({tuple(vector) for vector in found.reshape(8, -1).T}) == 45
    with pytest.raises(ParameterError, match="channels = 10"):
        positional_encoding(10, 2, 2)


def test_the_rate_of_cflow_warms_up_and_falls_in_steps_along_a_cosine() -> None:
    """The numbers are the official code's for 25 meta epochs, lr_warm_epochs = 2, lr_decay_rate = 0.1, over lr."""
    rate = CFlow().learning_rate_factor
    after_two = 0.001 + 0.999 * (1.0 + math.cos(math.pi * 2 / 25)) / 2
    assert rate(0.0) == pytest.approx(0.1)
    assert rate(1 / 25) == pytest.approx(0.1 + 0.5 * (after_two - 0.1))
    assert rate(2.0 / 25) == rate(2.9 / 25) == pytest.approx(after_two)
    assert rate(12.5 / 25) == pytest.approx(0.001 + 0.999 * (1.0 + math.cos(math.pi * 12 / 25)) / 2)
    assert 0.001 < rate(0.9999) < 0.01
    assert FastFlow().learning_rate_factor(0.5) == 1.0


def test_fastflow_takes_the_papers_flows_for_each_kind_of_backbone() -> None:
    convolutional = FastFlow("efficientnet-lite0", input_size=64, device="cpu")
    transformer = FastFlow(
        "timm/vit_tiny_patch16_224", ["blocks.7"], weights="random", input_size=(64, 32), device="cpu"
    )
    kernels, hidden = {}, {}
    for detector in (convolutional, transformer):
        detector.trainable("full")
        flows = detector._network.trained["flows"]
        kernels[detector] = [[block.subnet[0].kernel_size[0] for block in flow.blocks] for flow in flows]
        hidden[detector] = [flow.blocks[0].subnet[0].out_channels for flow in flows]
    assert kernels[convolutional] == [[3, 1] * 4] * 3
    assert hidden[convolutional] == [12, 20, 56]
    assert kernels[transformer] == [[3, 1] * 10]
    assert hidden[transformer] == [int(96 * 0.16)]
    assert len(list(convolutional._network.trained["norms"].parameters())) == 6
    assert list(transformer._network.trained["norms"].parameters()) == []
    only = FastFlow("efficientnet-lite0", input_size=64, device="cpu", conv3x3_only=True, flow_steps=2)
    only.trainable("full")
    assert [block.subnet[0].kernel_size for block in only._network.trained["flows"][0].blocks] == [(3, 3)] * 2
