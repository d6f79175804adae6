"""The part of a backbone that only its deepest layer depends on."""

from __future__ import annotations

import torch
from torch import nn

from pyimgano.core.errors import ParameterError
from pyimgano.models.networks import PixelNetwork

__all__ = ["deepest_parameters"]

PROBE_SIDE = 64


def deepest_parameters(network: PixelNetwork) -> list[nn.Parameter]:
    """Return the parameters that the network's last output depends on and its others do not.

    Found by autograd on one image, so it holds for any backbone. The network is in eval mode; which of its parameters
    have gradients is as before.

    Raises
    ------
    ParameterError
        When the network has one output only.
    """
    parameters = list(network.parameters())
    before = [parameter.requires_grad for parameter in parameters]
    device = parameters[0].device
    try:
        network.requires_grad_(True)
        outputs = network(torch.zeros(1, PROBE_SIDE, PROBE_SIDE, 3, dtype=torch.uint8, device=device))
        if len(outputs) < 2:
            raise ParameterError("one layer has no last layers to train", where="mode", allowed="full")
        deep = torch.autograd.grad(outputs[-1].sum(), parameters, retain_graph=True, allow_unused=True)
        rest = torch.stack([output.sum() for output in outputs[:-1]]).sum()
        shallow = torch.autograd.grad(rest, parameters, allow_unused=True)
    finally:
        for parameter, flag in zip(parameters, before):
            parameter.requires_grad_(flag)
    found = zip(parameters, deep, shallow)
    return [parameter for parameter, of_deep, of_rest in found if of_deep is not None and of_rest is None]
