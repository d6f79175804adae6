"""Normalising flows of affine coupling blocks, and their log-determinants.

A flow maps features ``x`` to ``z`` of the same shape, one to one, so that ``log p(x) = log N(z; 0, 1) +
log |det ∂z/∂x|`` (:func:`log_likelihood`). Each block lets one half of the channels decide how the other half is scaled
and shifted: its Jacobian is triangular, and the log-determinant the sum of the logarithms of the scales (Dinh et al.,
Density estimation using Real NVP, ICLR 2017, arXiv 1605.08803).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Callable, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.channel_permutation import ChannelPermutation

__all__ = ["CouplingBlock", "CouplingFlow", "log_likelihood"]

SubnetFactory = Callable[[int, int], nn.Module]

DAMPING = 0.1
"""What the subnet's outputs are multiplied by, so that an untrained block is close to the identity."""

GLOBAL_SCALE = 2.0 * math.log(math.expm1(5.0))
"""First value of the scales' parameters: ``0.1 · softplus_{β = 0.5}`` of it is 1."""


class CouplingBlock(nn.Module):
    """Affine coupling, then a learned scale and offset of each channel, then a fixed permutation of the channels.

    With ``x = (x₁, x₂)`` split along the channels, ``x₁`` the larger half, ``(a, b) = 0.1 · subnet(x₁, condition)``,
    ``s = clamp · tanh(a)``, and ``g = 0.1 · softplus_{β = 0.5}(global_scale)``, ``o`` one number per channel::

        u = (x₁, x₂ · exp(s) + b)
        y = permute(g · u + o)
        log |det ∂y/∂x| = Σ s + positions · Σ log g

    That is the block of the papers' code: FrEIA's ``AllInOneBlock`` with softplus scales and hard permutations.

    Parameters
    ----------
    channels : int
        At least 2.
    make_subnet : callable
        ``make_subnet(inputs, outputs)`` gives the module that maps (N, inputs, …) to (N, outputs, …).
    clamp : float
        Bound of ``|s|``.
    condition : int
        Channels of the condition, which the subnet takes behind ``x₁``; 0 for a flow without.
    """

    def __init__(self, channels: int, make_subnet: SubnetFactory, *, clamp: float, condition: int = 0) -> None:
        super().__init__()
        self.active = channels // 2
        self.passive = channels - self.active
        self.clamp = clamp
        self.subnet = make_subnet(self.passive + condition, 2 * self.active)
        self.global_scale = nn.Parameter(torch.full((channels,), GLOBAL_SCALE))
        self.global_offset = nn.Parameter(torch.zeros(channels))
        self.permutation = ChannelPermutation(channels)

    def forward(self, x: Tensor, condition: Optional[Tensor] = None) -> tuple[Tensor, Tensor]:
        """Transform features.

        Parameters
        ----------
        x : Tensor, (N, C) or (N, C, h, w)
        condition : Tensor, (N, condition) or (N, condition, h, w), optional

        Returns
        -------
        y : Tensor, as ``x``
        log_det : Tensor, (N,)
        """
        fixed, moved = x.split((self.passive, self.active), dim=1)
        seen = fixed if condition is None else torch.cat((fixed, condition), dim=1)
        raw, shift = self.subnet(seen).mul_(DAMPING).split((self.active, self.active), dim=1)
        log_scale = self.clamp * torch.tanh(raw)
        coupled = torch.cat((fixed, torch.addcmul(shift, moved, log_scale.exp())), dim=1)
        scale = 0.1 * functional.softplus(self.global_scale, beta=0.5)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        y = self.permutation(torch.addcmul(self.global_offset.view(shape), coupled, scale.view(shape)))
        positions = x[0, 0].numel()
        log_det = log_scale.sum(dim=tuple(range(1, x.dim()))) + positions * scale.log().sum()
        return y, log_det


class CouplingFlow(nn.Module):
    """Coupling blocks, one after the other.

    Parameters
    ----------
    channels : int
        At least 2.
    subnets : sequence of callable
        ``make_subnet`` of each block; see :class:`CouplingBlock`, as for ``clamp`` and ``condition``.
    """

    def __init__(self, channels: int, subnets: Sequence[SubnetFactory], *, clamp: float, condition: int = 0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [CouplingBlock(channels, make_subnet, clamp=clamp, condition=condition) for make_subnet in subnets]
        )

    def forward(self, x: Tensor, condition: Optional[Tensor] = None) -> tuple[Tensor, Tensor]:
        """Return ``z``, shaped as ``x``, and ``log |det ∂z/∂x|``, (N,); see :meth:`CouplingBlock.forward`."""
        log_det = x.new_zeros(len(x))
        for block in self.blocks:
            x, of_block = block(x, condition)
            log_det = log_det + of_block
        return x, log_det

    def last_blocks(self) -> list[nn.Parameter]:
        """Return the parameters of the last quarter of the blocks, at least one: those next to ``z``."""
        count = max(1, len(self.blocks) // 4)
        return [parameter for block in self.blocks[-count:] for parameter in block.parameters()]


def log_likelihood(z: Tensor, log_det: Tensor) -> Tensor:
    """Return ``log p(x)``, (N,), of features that a flow maps to ``z``, (N, …), with ``log |det ∂z/∂x|``, (N,)."""
    axes = tuple(range(1, z.dim()))
    constant = 0.5 * math.log(2.0 * math.pi) * z[0].numel()
    return log_det - 0.5 * z.square().sum(dim=axes) - constant
