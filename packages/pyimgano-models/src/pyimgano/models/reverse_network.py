"""Reverse distillation's networks: a one-class bottleneck embedding, and a decoder that gives the teacher's features.

Both are made of ResNet blocks. For a ResNet they are the paper's; for any other backbone they are basic blocks with the
channels of its layers (see :func:`decoder_plan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.backbones import Backbone
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.trained_networks import FeatureJudge, TrainingBatch

__all__ = ["BottleneckEmbedding", "Decoder", "DecoderPlan", "ReverseDecoder", "decoder_plan"]

_DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
    "wide_resnet50_2": (3, 4, 6, 3),
    "wide_resnet101_2": (3, 4, 23, 3),
}
_BASIC = ("resnet18", "resnet34")


@dataclass(frozen=True)
class DecoderPlan:
    """Shape of the embedding and the decoder.

    Attributes
    ----------
    channels : (int, int, int)
        Of the teacher's layers, the finest first.
    depths : (int, int, int, int)
        Blocks of the decoder's stages, the coarsest first, and of the embedding.
    width : float or None
        Channels between the 1 × 1 convolutions of a bottleneck block, relative to a quarter of its outputs; None for
        basic blocks.
    rectified : bool
        Whether the stages end in a ReLU, as a ResNet's do. A teacher whose features have both signs needs them not to.
    """

    channels: tuple[int, int, int]
    depths: tuple[int, int, int, int]
    width: Optional[float]
    rectified: bool


def decoder_plan(backbone: Backbone, layers: tuple[str, ...]) -> DecoderPlan:
    """Return the plan for a teacher.

    A ResNet's ``layer1`` … ``layer3`` get the paper's: the teacher's blocks, mirrored (its stages' depths in the
    order in which the encoder has them), and an embedding as deep as its last stage. Other teachers get two basic
    blocks per stage and for the embedding, stages that end without ReLU.
    """
    fine, middle, coarse = (backbone.layer(name).channels for name in layers)
    architecture = backbone.architecture.partition(".")[0]
    if architecture in _DEPTHS and tuple(layers) == ("layer1", "layer2", "layer3"):
        wide = 2.0 if architecture.startswith("wide") else 1.0
        return DecoderPlan(
            (fine, middle, coarse), _DEPTHS[architecture], None if architecture in _BASIC else wide, rectified=True
        )
    return DecoderPlan((fine, middle, coarse), (2, 2, 2, 2), None, rectified=False)


class Block(nn.Module):
    """A residual block that keeps, halves (``step=-1``) or doubles (``step=1``) the resolution."""

    def __init__(
        self, inputs: int, outputs: int, *, step: int = 0, width: Optional[float] = None, rectified: bool = True
    ) -> None:
        super().__init__()
        if width is None:
            self.body = nn.Sequential(
                _resampling(inputs, outputs, step),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
                _conv(outputs, outputs, 3),
                nn.BatchNorm2d(outputs),
            )
        else:
            inner = int(outputs // 4 * width)
            self.body = nn.Sequential(
                _conv(inputs, inner, 1),
                nn.BatchNorm2d(inner),
                nn.ReLU(inplace=True),
                _resampling(inner, inner, step),
                nn.BatchNorm2d(inner),
                nn.ReLU(inplace=True),
                _conv(inner, outputs, 1),
                nn.BatchNorm2d(outputs),
            )
        self.shortcut: nn.Module = nn.Identity()
        if step == 1:
            self.shortcut = nn.Sequential(_doubling(inputs, outputs), nn.BatchNorm2d(outputs))
        elif step == -1:
            self.shortcut = nn.Sequential(_conv(inputs, outputs, 1, stride=2), nn.BatchNorm2d(outputs))
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, inputs, h, w)."""
        y = self.body(x) + self.shortcut(x)
        return functional.relu(y, inplace=True) if self.rectified else y


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False)


def _resampling(inputs: int, outputs: int, step: int) -> nn.Module:
    if step == 1:
        return _doubling(inputs, outputs)
    return _conv(inputs, outputs, 3, stride=1 if step == 0 else 2)


def _stage(
    inputs: int, outputs: int, depth: int, *, step: int, width: Optional[float], rectified: bool
) -> nn.Sequential:
    blocks = [Block(inputs, outputs, step=step, width=width, rectified=rectified or depth > 1)]
    for left in range(depth - 2, -1, -1):
        blocks.append(Block(outputs, outputs, width=width, rectified=rectified or left > 0))
    return nn.Sequential(*blocks)


class BottleneckEmbedding(nn.Module):
    """Multi-scale feature fusion, then one-class embedding: (N, 2 C, h / 2, w / 2), C, h, w of the coarsest layer."""

    def __init__(self, plan: DecoderPlan) -> None:
        super().__init__()
        fine, middle, coarse = plan.channels
        self.from_fine = nn.Sequential(
            _conv(fine, middle, 3, stride=2),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            _conv(middle, coarse, 3, stride=2),
            nn.BatchNorm2d(coarse),
            nn.ReLU(inplace=True),
        )
        self.from_middle = nn.Sequential(
            _conv(middle, coarse, 3, stride=2), nn.BatchNorm2d(coarse), nn.ReLU(inplace=True)
        )
        self.embed = _stage(3 * coarse, 2 * coarse, plan.depths[3], step=-1, width=plan.width, rectified=True)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Embed the teacher's features, the finest first."""
        fine, middle, coarse = features
        embedded: Tensor = self.embed(torch.cat([self.from_fine(fine), self.from_middle(middle), coarse], dim=1))
        return embedded


class Decoder(nn.Module):
    """The teacher in reverse: from the embedding to features like its layers', the finest first."""

    def __init__(self, plan: DecoderPlan) -> None:
        super().__init__()
        inputs, stages = 2 * plan.channels[2], []
        for outputs, depth in zip(reversed(plan.channels), plan.depths):
            stages.append(_stage(inputs, outputs, depth, step=1, width=plan.width, rectified=plan.rectified))
            inputs = outputs
        self.stages = nn.ModuleList(stages)

    def forward(self, embedding: Tensor) -> list[Tensor]:
        """Return (N, C, h, w) per layer."""
        features = []
        for stage in self.stages:
            embedding = stage(embedding)
            features.append(embedding)
        return features[::-1]


class ReverseDecoder(FeatureJudge):
    """The teacher, and what is trained: ``trained.embedding`` and ``trained.decoder``."""

    trained: nn.ModuleDict

    def __init__(self, teacher: PixelNetwork, plan: DecoderPlan) -> None:
        trained = nn.ModuleDict({"embedding": BottleneckEmbedding(plan), "decoder": Decoder(plan)})
        super().__init__(teacher, trained)

    def _pairs(self, targets: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        return list(zip(targets, self.trained["decoder"](self.trained["embedding"](targets))))

    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return 1 − cosine similarity at each position: (N, h, w) per layer, 0 … 2."""
        return tuple(1.0 - functional.cosine_similarity(*pair, dim=1) for pair in self._pairs(features))

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return 1 − cosine similarity of whole layers, flattened: mean over images, summed over the layers."""
        pairs = self._pairs(self.features_of_teacher(batch.pixels))
        return torch.stack([(1.0 - _flat_cosine(*pair)).mean() for pair in pairs]).sum()

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the bottleneck (``"adapter"``), or the decoder's last stage, which gives the finest layer."""
        chosen = self.trained["embedding"] if mode == "adapter" else self.trained["decoder"].stages[-1]
        return list(chosen.parameters())


def _flat_cosine(target: Tensor, answer: Tensor) -> Tensor:
    # Sums over all axes, so that features in channels-last order need not be copied into rows.
    axes = (1, 2, 3)
    lengths = target.square().sum(axes).sqrt() * answer.square().sum(axes).sqrt()
    return (target * answer).sum(axes) / lengths.clamp_min(1e-8)
