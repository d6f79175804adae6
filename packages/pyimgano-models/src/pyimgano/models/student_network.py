"""STFPM's networks: a teacher and a student of the same architecture, compared at every position of some layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.deepest_layers import deepest_parameters
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.trained_networks import BranchedNetwork, TrainingBatch

__all__ = ["FeaturePyramids"]


class FeaturePyramids(BranchedNetwork):
    """Teacher and student; ``trained`` is the student.

    With ``F`` the features of a layer at a position, each divided by its Euclidean norm, the distance there is
    ``½ ‖F_teacher − F_student‖²`` (equation 1 of the paper): 0 … 2.
    """

    trained: PixelNetwork

    def __init__(self, teacher: PixelNetwork, student: PixelNetwork) -> None:
        super().__init__(teacher, student)

    def branches(self) -> Sequence[Callable[[Tensor], Any]]:
        """Return teacher and student."""
        return self.features_of_teacher, self.trained

    def join(self, parts: Sequence[Any]) -> tuple[Tensor, ...]:
        """Return the distances of the teacher's and the student's features, (N, h, w) per layer."""
        return tuple(_distances(target, answer) for target, answer in zip(*parts))

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the distances' mean over images and positions, summed over the layers (equations 2 and 3)."""
        return torch.stack([distances.mean() for distances in self(batch.pixels)]).sum()

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the last layers: the student's parameters that only its deepest layer depends on."""
        return deepest_parameters(self.trained)


def _distances(target: Tensor, answer: Tensor) -> Tensor:
    difference = functional.normalize(target, dim=1) - functional.normalize(answer, dim=1)
    return 0.5 * difference.square().sum(dim=1)
