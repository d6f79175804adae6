"""EfficientAD's autoencoder: from an image through a bottleneck of 64 channels to features like the teacher's."""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FeatureAutoencoder", "FeatureDropout"]

DROPOUT = 0.2
BOTTLENECK = 8


class FeatureAutoencoder(nn.Module):
    """Convolutions down to one vector, and up again (Batzner et al., WACV 2024, table of the supplement).

    Input: (N, 3, H, W) float32, normalised. Output: (N, channels, *grid).

    Parameters
    ----------
    channels : int
        Of the output: the teacher's.
    size : (int, int)
        (height, width) of the images; each at least 64.
    grid : (int, int)
        (height, width) of the output: the teacher's.

    Notes
    -----
    The encoder halves the image five times; a last convolution of 8 × 8 makes one vector of an image of 256 × 256. The
    decoder interpolates to sizes that are powers of two, or one less, before each of its convolutions. For larger
    images the bottleneck is a grid of such vectors. For smaller ones, which the paper does not have, the kernel of the
    last convolution is what is left of the image, and no size of the decoder is below 1.
    """

    def __init__(self, channels: int, size: tuple[int, int], grid: tuple[int, int]) -> None:
        super().__init__()
        left = [side // 32 for side in size]
        last = (min(BOTTLENECK, left[0]), min(BOTTLENECK, left[1]))
        self.encoder = nn.ModuleList(
            [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1) for inputs, outputs in zip(_NARROW, _NARROW[1:])]
            + [nn.Conv2d(64, 64, last)]
        )
        self.decoder = nn.ModuleList(
            [nn.Conv2d(64, 64, 4, padding=2) for _ in _UPWARDS]
            + [nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, channels, 3, padding=1)]
        )
        self.sizes = [tuple(max(1, side // divisor - less) for side in size) for divisor, less in _UPWARDS]
        self.sizes.append(grid)

    def forward(self, x: Tensor, dropout: Optional[FeatureDropout] = None) -> Tensor:
        """Return the features; ``dropout`` follows each convolution of the decoder but the last two."""
        *narrowing, last = self.encoder
        for conv in narrowing:
            x = functional.relu(conv(x), inplace=True)
        x = last(x)
        *widening, last = self.decoder
        for place, (conv, size) in enumerate(zip(widening, self.sizes)):
            x = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
            x = functional.relu(conv(x), inplace=True)
            if dropout is not None and place < len(_UPWARDS):
                x = dropout(x)
        features: Tensor = last(x)
        return features


_NARROW = (3, 32, 32, 64, 64, 64)
_UPWARDS = ((64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1))
"""Sizes before the decoder's convolutions: what the image's sides are divided by, and what is then taken off."""


class FeatureDropout:
    """Dropout of single values, drawn from a generator of NumPy: every device and version of torch drops the same.

    Parameters
    ----------
    chance : Generator
    probability : float
        In [0, 1); exact to 2⁻¹⁶.
    """

    def __init__(self, chance: np.random.Generator, probability: float = DROPOUT) -> None:
        self.chance = chance
        self.probability = probability

    def __call__(self, x: Tensor) -> Tensor:
        """Return (N, C, h, w) with some values 0 and the others made greater, so that the expectation stays."""
        # Two bytes a value are enough, and several times faster than floats.
        drawn = np.frombuffer(self.chance.bytes(2 * x.numel()), dtype="<u2").reshape(x.shape)
        kept = torch.from_numpy(drawn >= round(self.probability * 2**16)).to(x.device)
        return x * (kept / (1.0 - self.probability))
