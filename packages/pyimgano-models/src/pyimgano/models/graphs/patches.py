"""The patch features of one image in a graph: as :mod:`pyimgano.models.patches`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.resampling import nearest_indices

__all__ = ["AlignedPatches", "LocallyAwarePatches", "UnitVectors", "as_rows"]


def _finest_grid(layers: Sequence[Tensor]) -> tuple[int, int]:
    """Return (h, w) of the layer with the most positions, (1, C, h, w) each."""
    height, width = max((layer.shape[2:] for layer in layers), key=lambda shape: int(shape[0]) * int(shape[1]))
    return int(height), int(width)


def as_rows(patches: Tensor) -> Tensor:
    """Return the vectors of (1, D, h, w) patches as (h w, D)."""
    return patches.flatten(2)[0].T


class LocallyAwarePatches(nn.Module):
    """PatchCore's locally aware patch features; see :func:`pyimgano.models.patches.locally_aware_patches`.

    Input: a list of (1, C, h, w); output: (1, D, h, w) on the finest layer's grid.
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size

    def forward(self, layers: list[Tensor]) -> Tensor:
        """Return the features."""
        size = _finest_grid(layers)
        parts = []
        for layer in layers:
            if self.patch_size > 1:
                layer = functional.avg_pool2d(layer, self.patch_size, stride=1, padding=self.patch_size // 2)
            if tuple(layer.shape[2:]) != size:
                layer = functional.interpolate(layer, size=size, mode="bilinear", align_corners=False)
            parts.append(layer)
        return torch.cat(parts, dim=1)


class AlignedPatches(nn.Module):
    """PaDiM's embedding; see :func:`pyimgano.models.patches.aligned_patches`.

    Input: a list of (1, C, h, w); output: (1, D, h, w) on the finest layer's grid.
    """

    def __init__(self, channels: np.ndarray) -> None:
        super().__init__()
        self.chosen = np.asarray(channels)

    def forward(self, layers: list[Tensor]) -> Tensor:
        """Return the embedding."""
        height, width = _finest_grid(layers)
        parts, first = [], 0
        for layer in layers:
            count, old_height, old_width = (int(side) for side in layer.shape[1:])
            wanted = self.chosen[(self.chosen >= first) & (self.chosen < first + count)] - first
            first += count
            if len(wanted) == 0:
                continue
            part = layer.index_select(1, torch.from_numpy(wanted))
            if (old_height, old_width) != (height, width):
                part = part.index_select(2, torch.from_numpy(nearest_indices(old_height, height)))
                part = part.index_select(3, torch.from_numpy(nearest_indices(old_width, width)))
            parts.append(part)
        return torch.cat(parts, dim=1)


class UnitVectors(nn.Module):
    """Rows scaled to length 1; a row of zeros stays as it is. (n, D) to (n, D)."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return the scaled rows."""
        return rows / rows.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
