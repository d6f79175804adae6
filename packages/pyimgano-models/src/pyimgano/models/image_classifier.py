"""SuperSimpleNet's classification head: one logit of an image, from features and the discriminator's map."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.feature_discriminator import initialise

__all__ = ["Classifier", "ClassifierFold"]

CHANNELS = 128
TAPS = 5


class Classifier(nn.Module):
    """A 5 × 5 convolution of features and map joined, BatchNorm and ReLU, and a linear layer on what is pooled.

    Pooled are the maximum and the mean over the positions, of each of the convolution's channels and of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels + 1, CHANNELS, TAPS, padding=TAPS // 2)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.last = nn.Linear(2 * CHANNELS + 2, 1)
        self.apply(initialise)

    @property
    def of_features(self) -> Tensor:
        """The convolution's kernel for the features alone, (128, channels, 5, 5)."""
        return self.first.weight[:, :-1]

    def judge(self, convolved: Tensor, values: Tensor, constant: Optional[Tensor] = None) -> Tensor:
        """Return the (N,) logits.

        Parameters
        ----------
        convolved : Tensor, (N, 128, H, W)
            The features, convolved by :attr:`of_features` alone.
        values : Tensor, (N, H, W)
            The map.
        constant : Tensor, (128, 5, 5), optional
            What each tap of the convolution adds where it lies inside the image.
        """
        hidden = convolved + convolve_planes(values, self.first.weight[:, -1], self.first.bias, constant)
        return pooled_logits(functional.relu(self.norm(hidden), inplace=True), values, self.last)


class ClassifierFold:
    """A classifier as scoring needs it: its BatchNorm and an adaptor made one with its convolution.

    Parameters
    ----------
    classifier : Classifier
        In eval mode.
    kernel : Tensor, (128, channels, 5, 5)
        To convolve the features with, instead of :attr:`Classifier.of_features`.
    constant : Tensor, (128, 5, 5), optional
        See :meth:`Classifier.judge`.
    """

    def __init__(self, classifier: Classifier, kernel: Tensor, constant: Optional[Tensor]) -> None:
        norm, first = classifier.norm, classifier.first
        assert first.bias is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        wide = scale[:, None, None]
        self.kernel = (kernel * wide[..., None]).detach()
        self.bias = ((first.bias - norm.running_mean) * scale + norm.bias).detach()
        self.of_map = (first.weight[:, -1] * wide).detach()
        self.constant = None if constant is None else (constant * wide).detach()
        self.last = classifier.last

    def judge(self, convolved: Tensor, values: Tensor) -> Tensor:
        """Return the (N,) logits of features convolved by :attr:`kernel`, and of the map."""
        hidden = convolved + convolve_planes(values, self.of_map, self.bias, self.constant)
        return pooled_logits(functional.relu(hidden, inplace=True), values, self.last)


def convolve_planes(values: Tensor, kernel: Tensor, bias: Optional[Tensor], constant: Optional[Tensor]) -> Tensor:
    """Return what a convolution makes of a map, (N, H, W), its bias, and a plane of ones for the constant."""
    planes, kernels = values[:, None], kernel[:, None]
    if constant is not None:
        planes = torch.cat([planes, torch.ones_like(planes)], dim=1)
        kernels = torch.cat([kernels, constant[:, None]], dim=1)
    return functional.conv2d(planes, kernels, bias, padding=TAPS // 2)


def pooled_logits(hidden: Tensor, values: Tensor, last: nn.Linear) -> Tensor:
    """Return the (N,) logits of hidden channels, (N, 128, H, W), and the map, (N, H, W)."""
    pooled = [each for x in (hidden.flatten(2), values.flatten(1)[:, None]) for each in (x.amax(dim=2), x.mean(dim=2))]
    logits: Tensor = last(torch.cat(pooled, dim=1))
    return logits[:, 0]
