"""SimpleNet's network: an adaptor of frozen features, and a discriminator of features from noisy ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyimgano.models.feature_discriminator import (
    Discriminator,
    FeatureAdaptor,
    PointwiseFold,
    noise_vectors,
    truncated_l1,
)
from pyimgano.models.folded_network import FoldedNetwork
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.resampled_convolution import JoinedLayers
from pyimgano.models.trained_networks import TrainingBatch

__all__ = ["NoiseDiscriminator", "join_layers"]


class NoiseDiscriminator(FoldedNetwork[PointwiseFold]):
    """The frozen backbone, and what is trained: ``trained.adaptor`` and ``trained.discriminator``.

    Parameters
    ----------
    teacher : PixelNetwork
    channels : int
        Of all its layers together.
    noise_sigma : float
        Standard deviation of the noise on adapted features.
    """

    trained: nn.ModuleDict

    def __init__(self, teacher: PixelNetwork, channels: int, *, noise_sigma: float) -> None:
        super().__init__(
            teacher, nn.ModuleDict({"adaptor": FeatureAdaptor(channels), "discriminator": Discriminator(channels)})
        )
        self.noise_sigma = noise_sigma

    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the discriminator's values, (N, h, w) on the finest layer's grid; higher is more anomalous."""
        return (self.folded().judge(join_layers(features)),)

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the truncated L1 loss of the adapted features and the same with noise on each."""
        adaptor, discriminator = self.trained["adaptor"], self.trained["discriminator"]
        first = discriminator.first
        kernel, bias = adaptor.under(first.weight)
        features = join_layers(self.features_of_teacher(batch.pixels))
        clean = features.convolve(kernel).permute(0, 2, 3, 1) + (bias.flatten() + first.bias)
        noise = noise_vectors(
            clean[..., 0].numel(), first.in_channels, sigma=self.noise_sigma, chance=batch.chance, device=clean.device
        )
        noisy = clean + (noise @ first.weight.flatten(1).t()).view_as(clean)
        # Both go through BatchNorm together, as in the paper's code.
        judged = discriminator.judge(torch.cat([clean, noisy]).permute(0, 3, 1, 2))
        return truncated_l1(judged[: len(clean)], judged[len(clean) :])

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the discriminator's parameters for ``"last-layers"``, the adaptor's for ``"adapter"``."""
        return list(self.trained["discriminator" if mode == "last-layers" else "adaptor"].parameters())

    def _fold(self) -> PointwiseFold:
        return PointwiseFold(self.trained["adaptor"], self.trained["discriminator"])


def join_layers(features: Sequence[Tensor]) -> JoinedLayers:
    """Return PatchCore's locally aware patches: means of 3 × 3 neighbourhoods on the finest layer's grid."""
    return JoinedLayers(list(features), scale=1, pooled_first=True, corners=False)
