"""What a frozen backbone gives for images of one size: found out by giving it one."""

from __future__ import annotations

import torch

from pyimgano.models.networks import PixelNetwork

__all__ = ["feature_shapes"]


def feature_shapes(network: PixelNetwork, size: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Return (channels, height, width) of each layer's features for images of ``size`` (height, width)."""
    blank = torch.zeros(1, *size, 3, dtype=torch.uint8, device=network.mean.device)
    with torch.no_grad():
        return [(found.shape[1], found.shape[2], found.shape[3]) for found in network(blank)]
