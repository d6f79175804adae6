"""What the networks of trained detectors have in common: a frozen part, a trained part, a loss, and maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["BranchedNetwork", "FeatureJudge", "TrainedNetwork", "TrainingBatch"]


@dataclass(frozen=True)
class TrainingBatch:
    """What one training step is given.

    Attributes
    ----------
    pixels : Tensor, (N, H, W, 3) uint8
        RGB images, on the network's device.
    masks : Tensor, (N, H, W) bool, or None
        Where they are defective; None when all are good.
    chance : Generator
        Source of everything that the step draws by lot. NumPy's, so that every version of torch and every device
        draws the same.
    defective : Tensor, (N,) bool, or None
        Which images came with a mask, empty masks included; None when all are good.
    """

    pixels: Tensor
    masks: Optional[Tensor]
    chance: np.random.Generator
    defective: Optional[Tensor] = None


class TrainedNetwork(nn.Module, ABC):
    """A part that is trained and, with some models, a frozen one; takes pixels as they are, (N, H, W, 3) uint8 RGB.

    Parameters
    ----------
    teacher : Module, optional
        In eval mode, without gradients; it stays so, and is not saved.
    trained : Module
        Everything that is trained or learned otherwise (buffers), and saved.

    Attributes
    ----------
    layout : memory_format
        Of the weights of its convolutions.
    """

    layout: torch.memory_format = torch.channels_last

    def __init__(self, teacher: Optional[nn.Module], trained: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher
        self.trained = trained
        self.requires_grad_(False)
        self.eval()

    @abstractmethod
    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the scalar loss of a batch, with its graph."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return what the detector makes maps and scores of: tensors whose first axis is that of the images."""

    @abstractmethod
    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the parameters that a mode other than ``"full"`` trains; the detector's ``modes`` lists them."""

    def parameters_of(self, mode: str) -> list[nn.Parameter]:
        """Return the parameters that a mode trains."""
        return list(self.trained.parameters()) if mode == "full" else self.part(mode)

    def low_rank_updates(self, rank: int) -> list[nn.Parameter]:
        """Give the trained part low-rank updates, and return what the mode ``"lora"`` trains."""
        from pyimgano.models.lora import inject_lora

        return inject_lora(self.trained, rank)

    def features_of_teacher(self, pixels: Tensor) -> list[Tensor]:
        """Return the teacher's features, without a graph."""
        assert self.teacher is not None
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


class FeatureJudge(TrainedNetwork, ABC):
    """A network that sees images by the features of a frozen backbone only.

    So the features may come from another runtime when it scores (:class:`pyimgano.models.runtimes.JudgedFeatures`).
    """

    @abstractmethod
    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return what the detector makes maps and scores of, from the layers' features (N, C, h, w)."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return what the detector makes maps and scores of: :meth:`judge` of the backbone's features."""
        return self.judge(self.features_of_teacher(pixels))


class BranchedNetwork(TrainedNetwork, ABC):
    """A network with parts that do not wait for each other: a runtime may compute them side by side when it scores."""

    @abstractmethod
    def branches(self) -> Sequence[Callable[[Tensor], Any]]:
        """Return these parts, each a function of the pixels, (N, H, W, 3) uint8."""

    @abstractmethod
    def join(self, parts: Sequence[Any]) -> tuple[Tensor, ...]:
        """Return what :meth:`forward` returns, from what the branches returned, in their order."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return what the detector makes maps and scores of: the branches, joined."""
        return self.join([branch(pixels) for branch in self.branches()])
