"""STFPM's networks: a teacher and a student of the same architecture, compared at every position of some layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.core.errors import ParameterError
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.trained_networks import TrainedNetwork, TrainingBatch

__all__ = ["FeaturePyramids"]

PROBE_SIDE = 64


class FeaturePyramids(TrainedNetwork):
    """Teacher and student; ``trained`` is the student.

    With ``F`` the features of a layer at a position, each divided by its Euclidean norm, the distance there is
    ``½ ‖F_teacher − F_student‖²`` (equation 1 of the paper): 0 … 2.
    """

    trained: PixelNetwork

    def __init__(self, teacher: PixelNetwork, student: PixelNetwork) -> None:
        super().__init__(teacher, student)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the distances, (N, h, w) per layer."""
        targets = self.features_of_teacher(pixels)
        return tuple(_distances(target, answer) for target, answer in zip(targets, self.trained(pixels)))

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the distances' mean over images and positions, summed over the layers (equations 2 and 3)."""
        return torch.stack([distances.mean() for distances in self(batch.pixels)]).sum()

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the last layers: the student's parameters that only its deepest layer depends on."""
        parameters = list(self.trained.parameters())
        before = [parameter.requires_grad for parameter in parameters]
        device = parameters[0].device
        try:
            self.trained.requires_grad_(True)
            self.learn(False)
            outputs = self.trained(torch.zeros(1, PROBE_SIDE, PROBE_SIDE, 3, dtype=torch.uint8, device=device))
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


def _distances(target: Tensor, answer: Tensor) -> Tensor:
    difference = functional.normalize(target, dim=1) - functional.normalize(answer, dim=1)
    return 0.5 * difference.square().sum(dim=1)
