"""What the networks of trained detectors have in common: a frozen part, a trained part, a loss, and maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyimgano.models.networks import PixelNetwork

__all__ = ["TrainedNetwork"]


class TrainedNetwork(nn.Module, ABC):
    """A frozen teacher and what learns from it; takes pixels as they are, (N, H, W, 3) uint8 RGB.

    Parameters
    ----------
    teacher : PixelNetwork
        In eval mode, without gradients; it stays so.
    trained : Module
        Everything that is trained, and saved.
    """

    def __init__(self, teacher: PixelNetwork, trained: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher
        self.trained = trained
        self.requires_grad_(False)
        self.eval()

    @abstractmethod
    def loss(self, pixels: Tensor) -> Tensor:
        """Return the scalar loss of a batch, with its graph."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the distances between the two parts: (N, h, w) float32 per layer, the finest first."""

    @abstractmethod
    def last_layers(self) -> list[nn.Parameter]:
        """Return the parameters that the mode ``"last-layers"`` trains."""

    def features_of_teacher(self, pixels: Tensor) -> list[Tensor]:
        """Return the teacher's features, without a graph."""
        with torch.no_grad():
            return list(self.teacher(pixels))

    def select(self, parameters: Sequence[nn.Parameter]) -> None:
        """Let these parameters, and no others, have gradients; those there are forgotten."""
        self.requires_grad_(False)
        self.zero_grad(set_to_none=True)
        for parameter in parameters:
            parameter.requires_grad_(True)

    def learn(self, learning: bool) -> None:
        """Switch between training and scoring.

        What switches is BatchNorm, and only where its own parameters are trained. Dropout and its kin stay off: they
        belong to classification, and without them a step needs no random numbers.
        """
        for module in self.trained.modules():
            if isinstance(module, _BatchNorm):
                own = list(module.parameters(recurse=False))
                module.train(learning and bool(own) and all(parameter.requires_grad for parameter in own))
