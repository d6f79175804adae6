"""SoftPatch in a graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.maps import RenderedMap
from pyimgano.models.graphs.nearest import NearestRows
from pyimgano.models.graphs.patches import LocallyAwarePatches, as_rows

__all__ = ["SoftPatchGraph"]


class SoftPatchGraph(nn.Module):
    """What :class:`~pyimgano.models.softpatch.SoftPatch` makes of a backbone's features.

    Parameters
    ----------
    bank : ndarray, (M, D) float32
    weights : ndarray, (M,)
    patch_size : int
    renderer : RenderedMap
    """

    weights: Tensor

    def __init__(self, bank: np.ndarray, weights: np.ndarray, *, patch_size: int, renderer: RenderedMap) -> None:
        super().__init__()
        self.patches = LocallyAwarePatches(patch_size)
        self.nearest = NearestRows(bank)
        self.register_buffer("weights", torch.from_numpy(weights[self.nearest.rows].astype(np.float32)))
        self.renderer = renderer

    def forward(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (1,) and (1, height, width)."""
        squared, rows = self.nearest(as_rows(self.patches(layers)))
        distances = squared.sqrt() * self.weights[rows]
        return distances.amax(dim=0, keepdim=True), self.renderer(distances)
