"""CFLOW's networks: on each layer of a frozen backbone, a flow of single feature vectors that knows their positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.coupling_flow import CouplingFlow, log_likelihood
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.positional_encoding import positional_encoding
from pyimgano.models.trained_networks import FeatureJudge, TrainingBatch

__all__ = ["ConditionalFlows", "LikelihoodPeaks"]

CLAMP = 1.9
CONDITION = 128
"""Channels of the encoding of positions."""


class LikelihoodPeaks(nn.Module):
    """What the likelihoods of each layer are divided by before they are added up.

    Attributes
    ----------
    log_likelihood : Tensor, (layers,) float32
        Per channel; 0 until it is learned.
    """

    log_likelihood: Tensor

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.register_buffer("log_likelihood", torch.zeros(layers))


class ConditionalFlows(FeatureJudge):
    """The backbone, and what is learned: ``trained.decoders``, one per layer, and ``trained.peaks``.

    Parameters
    ----------
    teacher : PixelNetwork
    shapes : sequence of (int, int, int)
        (C, h, w) of each layer.
    coupling_blocks : int
        Of each decoder.
    fibres : int
        Feature vectors per layer that a step draws.
    """

    trained: nn.ModuleDict

    def __init__(
        self, teacher: PixelNetwork, shapes: Sequence[tuple[int, int, int]], *, coupling_blocks: int, fibres: int
    ) -> None:
        subnets = [_perceptron] * coupling_blocks
        decoders = [CouplingFlow(shape[0], subnets, clamp=CLAMP, condition=CONDITION) for shape in shapes]
        parts: dict[str, nn.Module] = {"decoders": nn.ModuleList(decoders), "peaks": LikelihoodPeaks(len(shapes))}
        super().__init__(teacher, nn.ModuleDict(parts))
        self.fibres = fibres
        for index, (_, height, width) in enumerate(shapes):
            encoding = _as_rows(positional_encoding(CONDITION, height, width)[None]).contiguous()
            self.register_buffer(f"positions_{index}", encoding, persistent=False)

    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the log-likelihood per channel at each position: (N, h, w) per layer."""
        maps = []
        for index, layer in enumerate(features):
            count, _, height, width = layer.shape
            positions = self._positions(index).repeat(count, 1)
            maps.append(self._score(index, _as_rows(layer), positions).view(count, height, width))
        return tuple(maps)

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return ``−log sigmoid(log-likelihood per channel)``: the mean over fibres drawn, summed over the layers.

        Fibres are feature vectors at positions of the batch's images, drawn without putting back; all of a layer that
        has no more than are drawn.
        """
        losses = []
        for index, features in enumerate(self.features_of_teacher(batch.pixels)):
            rows, positions = _as_rows(features), self._positions(index)
            drawn = np.sort(batch.chance.permutation(len(rows))[: self.fibres])
            chosen = torch.from_numpy(drawn).to(rows.device)
            likelihood = self._score(index, rows[chosen], positions[chosen % len(positions)])
            losses.append(-functional.logsigmoid(likelihood).mean())
        return torch.stack(losses).sum()

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the last quarter of each decoder's blocks."""
        return [parameter for decoder in self.trained["decoders"] for parameter in decoder.last_blocks()]

    def _positions(self, index: int) -> Tensor:
        positions: Tensor = getattr(self, f"positions_{index}")
        return positions

    def _score(self, index: int, rows: Tensor, positions: Tensor) -> Tensor:
        """Return the log-likelihood per channel, (N,), of feature vectors (N, C) at encoded positions (N, 128)."""
        z, log_det = self.trained["decoders"][index](rows, positions)
        return log_likelihood(z, log_det) / rows.shape[1]


def _as_rows(features: Tensor) -> Tensor:
    """Return (N · h · w, C)."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 2 * inputs), nn.ReLU(inplace=True), nn.Linear(2 * inputs, outputs))
