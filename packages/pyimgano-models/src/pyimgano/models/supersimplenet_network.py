"""SuperSimpleNet's network: SimpleNet's on a finer grid, with noise in regions and a head that classifies the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.feature_discriminator import (
    Discriminator,
    FeatureAdaptor,
    PointwiseFold,
    noise_vectors,
    truncated_l1,
)
from pyimgano.models.focal_loss import focal_loss
from pyimgano.models.folded_network import FoldedNetwork
from pyimgano.models.image_classifier import Classifier, ClassifierFold
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.perlin import perlin_mask
from pyimgano.models.resampled_convolution import JoinedLayers, add_at
from pyimgano.models.trained_networks import TrainingBatch

__all__ = ["RegionNoiseDiscriminator", "join_layers", "noise_regions"]

FOCUS = 4.0


class RegionNoiseDiscriminator(FoldedNetwork[tuple[PointwiseFold, ClassifierFold]]):
    """The frozen backbone, and what is trained: ``trained.adaptor``, ``.discriminator`` and ``.classifier``.

    Parameters
    ----------
    teacher : PixelNetwork
    channels : int
        Of all its layers together.
    noise_sigma : float
        Standard deviation of the noise on features.
    perlin_threshold : float
        Noise goes where Perlin noise in [-1, 1] exceeds it.
    adapt_cls_features : bool
        Whether the classifier takes adapted features.
    """

    trained: nn.ModuleDict

    def __init__(
        self,
        teacher: PixelNetwork,
        channels: int,
        *,
        noise_sigma: float,
        perlin_threshold: float,
        adapt_cls_features: bool,
    ) -> None:
        parts = {
            "adaptor": FeatureAdaptor(channels),
            "discriminator": Discriminator(channels),
            "classifier": Classifier(channels),
        }
        super().__init__(teacher, nn.ModuleDict(parts))
        self.noise_sigma = noise_sigma
        self.perlin_threshold = perlin_threshold
        self.adapt_cls_features = adapt_cls_features

    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the discriminator's values, (N, H, W), and the classifier's, (N, 1); higher is more anomalous."""
        discriminator, classifier = self.folded()
        joined = join_layers(features)
        values = discriminator.judge(joined)
        return values, classifier.judge(joined.convolve(classifier.kernel), values)[:, None]

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the loss of a batch, every image twice: with noise in regions of its own, by lot.

        The discriminator's values have a truncated L1 and a focal loss against the regions of noise and defects, the
        classifier's logits a focal loss. A batch in which all images are good trains the discriminator by its own
        losses alone: the classifier's gradient stops at the map.
        """
        features = join_layers(self.features_of_teacher(batch.pixels))
        targets = _Targets.of(batch, features.grid, self.perlin_threshold)
        values, logits = self._judge_noisy(features, batch, targets)
        located = ~targets.unlocated
        judged, truth = values[located], targets.regions[located]
        loss = truncated_l1(judged[~truth], judged[truth])
        if judged.numel():
            loss = loss + focal_loss(judged, truth, gamma=FOCUS).mean()
        return loss + focal_loss(logits, targets.labels, gamma=FOCUS).mean()

    def _judge_noisy(self, features: JoinedLayers, batch: TrainingBatch, targets: _Targets) -> tuple[Tensor, Tensor]:
        adaptor, discriminator = self.trained["adaptor"], self.trained["discriminator"]
        classifier, first = self.trained["classifier"], discriminator.first
        places = targets.noisy.nonzero()
        noise = noise_vectors(
            len(places), first.in_channels, sigma=self.noise_sigma, chance=batch.chance, device=places.device
        )

        kernel, bias = adaptor.under(first.weight)
        hidden = features.convolve(kernel) + (bias.flatten() + first.bias)[:, None, None]
        values = discriminator.judge(add_at(hidden, first.weight, places, noise, copies=2))
        seen = values if batch.masks is not None else values.detach()
        kernel, constant = self._classifiers_kernel()
        hidden = add_at(features.convolve(kernel), classifier.of_features, places, noise, copies=2)
        return values, classifier.judge(hidden, seen, constant)

    def _classifiers_kernel(self) -> tuple[Tensor, Optional[Tensor]]:
        own = self.trained["classifier"].of_features
        return self.trained["adaptor"].under(own) if self.adapt_cls_features else (own, None)

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return both heads' parameters for ``"last-layers"``, the adaptor's for ``"adapter"``."""
        names = ("discriminator", "classifier") if mode == "last-layers" else ("adaptor",)
        return [parameter for name in names for parameter in self.trained[name].parameters()]

    def _fold(self) -> tuple[PointwiseFold, ClassifierFold]:
        adaptor, discriminator = self.trained["adaptor"], self.trained["discriminator"]
        return (
            PointwiseFold(adaptor, discriminator),
            ClassifierFold(self.trained["classifier"], *self._classifiers_kernel()),
        )


def join_layers(features: Sequence[Tensor]) -> JoinedLayers:
    """Return the layers on a grid of twice the finest one's resolution, averaged over 3 × 3 neighbourhoods."""
    return JoinedLayers(list(features), scale=2, pooled_first=False, corners=True)


@dataclass(frozen=True)
class _Targets:
    """What a step's 2 N images are to be judged, all on the features' grid.

    Attributes
    ----------
    noisy : Tensor, (2 N, H, W) bool
        Where noise goes.
    regions : Tensor, (2 N, H, W) bool
        Where there is noise or a defect.
    labels : Tensor, (2 N,) bool
        Which images have either.
    unlocated : Tensor, (2 N,) bool
        Which are defective, nobody knows where; they get no noise, and tell nothing about positions.
    """

    noisy: Tensor
    regions: Tensor
    labels: Tensor
    unlocated: Tensor

    @classmethod
    def of(cls, batch: TrainingBatch, grid: tuple[int, int], threshold: float) -> _Targets:
        count, device = len(batch.pixels), batch.pixels.device
        drawn = noise_regions(2 * count, grid, threshold=threshold, chance=batch.chance)
        noisy = torch.from_numpy(drawn).to(device)
        if batch.masks is None or batch.defective is None:
            unlocated = torch.zeros(2 * count, dtype=torch.bool, device=device)
            return cls(noisy, noisy, noisy.flatten(1).any(dim=1), unlocated)
        shrunk = functional.interpolate(batch.masks[:, None].float(), size=grid, mode="bilinear")[:, 0] >= 0.5
        defects, defective = torch.cat([shrunk, shrunk]), torch.cat([batch.defective, batch.defective])
        unlocated = defective & ~defects.flatten(1).any(dim=1)
        noisy = noisy & ~defects & ~unlocated[:, None, None]
        return cls(noisy, noisy | defects, defective | noisy.flatten(1).any(dim=1), unlocated)


def noise_regions(count: int, grid: tuple[int, int], *, threshold: float, chance: np.random.Generator) -> np.ndarray:
    """Return where noise goes: nowhere in half of the images, by lot, in the others in regions of Perlin noise.

    Parameters
    ----------
    count : int
    grid : (int, int)
        (H, W).
    threshold : float
        Of Perlin noise in [-1, 1]; its periods are 1 … 32 along either axis.
    chance : Generator

    Returns
    -------
    ndarray, (count, H, W) bool
    """
    regions = np.zeros((count, *grid), dtype=bool)
    for region, struck in zip(regions, chance.random(count) < 0.5):
        if struck:
            region[...] = perlin_mask(grid, chance, threshold=threshold)
    return regions
