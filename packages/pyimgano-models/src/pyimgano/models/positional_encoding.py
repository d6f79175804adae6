"""Sines and cosines of a position in a feature map, by which a network is told where it looks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyimgano.core.parameters import require

__all__ = ["positional_encoding"]

LONGEST = 1e4
"""The wavelengths go from 2π positions to 2π times this."""


def positional_encoding(channels: int, height: int, width: int) -> Tensor:
    """Return the two-dimensional encoding of all positions of a feature map.

    The first half of the channels encodes the column ``j``, the second half the row ``i``, each as in Vaswani et al.
    (2017): with ``d = channels / 2`` and ``k = 0, 2, 4, …``, the channels ``k`` and ``k + 1`` are
    ``sin(j / 10⁴^(k / d))`` and ``cos(j / 10⁴^(k / d))``.

    Parameters
    ----------
    channels : int
        A multiple of 4.
    height, width : int
        Of the feature map.

    Returns
    -------
    Tensor, (channels, height, width) float32
        Values in −1 … 1.

    Raises
    ------
    ParameterError
        When ``channels`` is no multiple of 4.
    """
    require(channels % 4 == 0 and channels > 0, "channels", channels, "a multiple of 4")
    half = channels // 2
    frequencies = torch.exp(torch.arange(0, half, 2) * (-math.log(LONGEST) / half))
    columns = _waves(frequencies, width)[:, None, :].expand(half, height, width)
    rows = _waves(frequencies, height)[:, :, None].expand(half, height, width)
    return torch.cat((columns, rows))


def _waves(frequencies: Tensor, count: int) -> Tensor:
    """Return (2 · frequencies, count): the sine and the cosine of each frequency in turn."""
    angles = frequencies[:, None] * torch.arange(float(count))
    return torch.stack((angles.sin(), angles.cos()), dim=1).flatten(0, 1)
