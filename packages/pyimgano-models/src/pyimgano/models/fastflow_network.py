"""FastFlow's networks: on each layer of a frozen backbone, a normalisation and a two-dimensional flow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.coupling_flow import CouplingFlow
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.trained_networks import FeatureJudge, TrainingBatch

__all__ = ["FastFlows", "FeatureNorm"]

CLAMP = 2.0


class FeatureNorm(nn.Module):
    """Layer normalisation of features; what a flow takes has mean 0 and variance 1.

    Parameters
    ----------
    shape : (int, int, int)
        (C, h, w) of the features.
    learned : bool
        Whether one mean and variance is taken of a whole image, and every entry then gets a scale and an offset that
        are learned (the features of convolutional networks); else those of each position, and nothing is learned (the
        tokens of transformers).
    """

    weight: Optional[nn.Parameter]
    bias: Optional[nn.Parameter]

    def __init__(self, shape: tuple[int, int, int], *, learned: bool) -> None:
        super().__init__()
        self.shape = shape
        self.register_parameter("weight", nn.Parameter(torch.ones(shape)) if learned else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(shape)) if learned else None)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, h, w); returned contiguous (see :class:`FastFlows`)."""
        if self.weight is None:
            tokens = functional.layer_norm(x.permute(0, 2, 3, 1), self.shape[:1])
            return tokens.permute(0, 3, 1, 2).contiguous()
        return functional.layer_norm(x.contiguous(), self.shape, self.weight, self.bias)

    def log_det(self) -> Tensor:
        """Return the log-determinant of the learned scales, the same for every image: a scalar."""
        return torch.zeros(()) if self.weight is None else self.weight.abs().log().sum()


class FastFlows(FeatureJudge):
    """The backbone, and what is trained: ``trained.norms`` and ``trained.flows``, one of each per layer.

    Parameters
    ----------
    teacher : PixelNetwork
    shapes : sequence of (int, int, int)
        (C, h, w) of each layer.
    steps : int
        Coupling blocks of each flow.
    hidden_ratio : float
        Hidden channels of a block's convolutions, relative to their inputs.
    conv3x3_only : bool
        Whether all blocks have 3 × 3 convolutions; else every second one has 1 × 1.
    learned_norm : bool
        See :class:`FeatureNorm`.
    """

    trained: nn.ModuleDict

    def __init__(
        self,
        teacher: PixelNetwork,
        shapes: Sequence[tuple[int, int, int]],
        *,
        steps: int,
        hidden_ratio: float,
        conv3x3_only: bool,
        learned_norm: bool,
    ) -> None:
        kernels = [1 if step % 2 == 1 and not conv3x3_only else 3 for step in range(steps)]
        subnets = [partial(_convolutions, kernel=kernel, hidden_ratio=hidden_ratio) for kernel in kernels]
        norms = nn.ModuleList([FeatureNorm(shape, learned=learned_norm) for shape in shapes])
        flows = nn.ModuleList([CouplingFlow(shape[0], subnets, clamp=CLAMP) for shape in shapes])
        super().__init__(teacher, nn.ModuleDict({"norms": norms, "flows": flows}))
        # Channels-last, a step of the flows takes a third longer on the CPU, and scoring the same: splitting and
        # permuting channels moves whole planes here.
        self.layout = torch.contiguous_format

    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return −exp(−½ · mean over the channels of z²) at each position: (N, h, w) per layer, −1 … 0."""
        latents = [
            flow(norm(layer))[0] for layer, norm, flow in zip(features, self.trained["norms"], self.trained["flows"])
        ]
        return tuple(-torch.exp(-0.5 * z.square().mean(dim=1)) for z in latents)

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return ``½ ‖z‖² − log |det|`` of whole layers: the mean over the images, summed over the layers.

        That is the negative log-likelihood without its constant. The determinant is that of the flow and of the
        normalisation's learned scales.
        """
        losses = []
        features = self.features_of_teacher(batch.pixels)
        for layer, norm, flow in zip(features, self.trained["norms"], self.trained["flows"]):
            z, log_det = flow(norm(layer))
            losses.append((0.5 * z.square().sum(dim=(1, 2, 3)) - log_det).mean() - norm.log_det())
        return torch.stack(losses).sum()

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the last quarter of each flow's blocks."""
        return [parameter for flow in self.trained["flows"] for parameter in flow.last_blocks()]


def _convolutions(inputs: int, outputs: int, *, kernel: int, hidden_ratio: float) -> nn.Sequential:
    hidden = max(1, int(inputs * hidden_ratio))
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, kernel, padding=kernel // 2),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, outputs, kernel, padding=kernel // 2),
    )
