"""Convolutions of features that were interpolated, pooled and joined, computed where the features are coarse.

SimpleNet and SuperSimpleNet bring the layers of a backbone to one grid, finer than most of them, and convolve what is
joined there. Interpolation and mean pooling are linear, act on every channel alike, and are a product of one matrix for
each axis; so the order can be changed. Each tap of the kernel is a 1 × 1 convolution of each layer at the layer's own
resolution, and what goes to the grid are its few outputs, not the layers' many channels. The result is the same to
rounding; nothing of the grid's size and the layers' channels is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pyimgano.models.resampling import resampling_matrix

__all__ = ["JoinedLayers", "add_at"]


class JoinedLayers:
    """Layers of a backbone, as if brought to one grid and joined: (N, C, H, W), with C the sum of their channels.

    Parameters
    ----------
    layers : sequence of Tensor, (N, C_l, h, w)
        The finest first.
    scale : int
        The grid has ``scale`` times the resolution of the finest layer.
    pooled_first : bool
        Whether every position becomes the mean of its 3 × 3 neighbourhood in the layer, before the interpolation, or
        on the grid, after it. Beyond the border there are zeros, which count.
    corners : bool
        Whether the interpolation puts the outermost pixels' centres on each other (``align_corners=True``).
    """

    def __init__(self, layers: Sequence[Tensor], *, scale: int, pooled_first: bool, corners: bool) -> None:
        self.layers = layers
        self.channels = [layer.shape[1] for layer in layers]
        height, width = (int(side) for side in layers[0].shape[2:])  # a traced size is a tensor; matrices need numbers
        self.grid = (scale * height, scale * width)
        self._kind = ("bilinear-corners" if corners else "bilinear", pooled_first)

    def convolve(self, kernel: Tensor) -> Tensor:
        """Return the convolution of the joined layers, which end in zeros.

        Parameters
        ----------
        kernel : Tensor, (out, C, k, k)
            ``k`` is odd.

        Returns
        -------
        Tensor, (N, out, H, W)
            In channels-last order.
        """
        outputs, taps = kernel.shape[0], kernel.shape[2]
        seen, rows = [], []
        for layer, part in zip(self.layers, kernel.split(self.channels, dim=1)):
            count, channels, height, width = (int(side) for side in layer.shape)
            x = layer.permute(0, 2, 3, 1).reshape(-1, channels) @ part.permute(1, 3, 2, 0).reshape(channels, -1)
            # Every tap looks at the grid from its own place: its matrices are those of the grid, moved by as much.
            columns = self._axis(width, self.grid[1], taps, layer).transpose(1, 2).reshape(self.grid[1], width * taps)
            x = columns @ x.reshape(count * height, width * taps, taps * outputs)
            x = x.view(count, height, self.grid[1], taps, outputs).permute(0, 3, 1, 2, 4)
            seen.append(x.reshape(count, taps * height, self.grid[1] * outputs))
            rows.append(self._axis(height, self.grid[0], taps, layer).reshape(self.grid[0], taps * height))
        total = torch.cat(rows, dim=1) @ torch.cat(seen, dim=1)
        return total.view(-1, *self.grid, outputs).permute(0, 3, 1, 2)

    def _axis(self, source: int, target: int, taps: int, like: Tensor) -> Tensor:
        return torch.from_numpy(_axis(source, target, taps, *self._kind)).to(like.device)


@lru_cache(maxsize=64)
def _axis(source: int, target: int, taps: int, interpolation: str, pooled_first: bool) -> np.ndarray:
    """Return (target, taps, source) float32: what each tap sees of the layer from each position of the grid."""
    matrix = resampling_matrix(source, target, interpolation)
    matrix = matrix @ _mean_of_three(source) if pooled_first else _mean_of_three(target) @ matrix
    radius = taps // 2
    padded = np.pad(matrix, ((radius, radius), (0, 0)))
    return np.stack([padded[tap : tap + target] for tap in range(taps)], axis=1).astype(np.float32)


def _mean_of_three(length: int) -> np.ndarray:
    mean: np.ndarray = (np.eye(length) + np.eye(length, k=1) + np.eye(length, k=-1)) / 3.0
    return mean


def add_at(convolved: Tensor, kernel: Tensor, places: Tensor, vectors: Tensor, *, copies: int = 1) -> Tensor:
    """Return what a convolution gives after vectors were added to its input, or to copies of it, at some places.

    Parameters
    ----------
    convolved : Tensor, (N, out, H, W)
        The convolution's result without them, in channels-last order.
    kernel : Tensor, (out, C, k, k)
    places : Tensor, (K, 3) int64
        Image of all ``copies · N``, row and column of each vector.
    vectors : Tensor, (K, C)
    copies : int
        Times that the images come, one after the other.

    Returns
    -------
    Tensor, (copies · N, out, H, W)
        In channels-last order.
    """
    outputs, height, width = convolved.shape[1:]
    taps = kernel.shape[2]
    radius = taps // 2
    answers = vectors @ kernel.permute(1, 2, 3, 0).reshape(kernel.shape[1], -1)
    # A tap left of the middle answers to the right of its vector. The frame takes what falls beyond the border.
    steps = radius - torch.arange(taps, device=places.device)
    rows = places[:, 1, None, None] + radius + steps[None, :, None]
    columns = places[:, 2, None, None] + radius + steps[None, None, :]
    tall, wide = height + 2 * radius, width + 2 * radius
    index = (places[:, 0, None, None] * tall + rows) * wide + columns
    framed = convolved.permute(0, 2, 3, 1)
    if radius:
        framed = functional.pad(framed, (0, 0, radius, radius, radius, radius))
    flat = torch.cat([framed.reshape(-1, outputs)] * copies)
    flat.index_add_(0, index.flatten(), answers.reshape(-1, outputs))
    flat = flat.view(-1, tall, wide, outputs)
    return flat[:, radius : radius + height, radius : radius + width].permute(0, 3, 1, 2)
