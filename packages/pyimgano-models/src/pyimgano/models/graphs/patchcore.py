"""PatchCore in a graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.maps import RenderedMap
from pyimgano.models.graphs.nearest import NearestRows
from pyimgano.models.graphs.patches import LocallyAwarePatches, as_rows

__all__ = ["PatchCoreGraph"]


class PatchCoreGraph(nn.Module):
    """What :class:`~pyimgano.models.patchcore.PatchCore` makes of a backbone's features.

    Parameters
    ----------
    bank : ndarray, (M, D) float32
    support : ndarray, (M, b) int64
        The nearest rows of the bank around each of its rows, itself among them; with b = 1 scores are not weighted.
    patch_size : int
    renderer : RenderedMap
    """

    support: Tensor

    def __init__(self, bank: np.ndarray, support: np.ndarray, *, patch_size: int, renderer: RenderedMap) -> None:
        super().__init__()
        self.patches = LocallyAwarePatches(patch_size)
        self.nearest = NearestRows(bank)
        self.weighted = support.shape[1] > 1
        self.register_buffer("support", torch.from_numpy(self.nearest.places[support[self.nearest.rows]]))
        self.renderer = renderer

    def forward(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (1,) and (1, height, width)."""
        vectors = as_rows(self.patches(layers))
        squared, rows = self.nearest(vectors)
        distances = squared.sqrt()
        score, worst = distances.max(dim=0, keepdim=True)
        if self.weighted:
            score = score * self._weight(vectors[worst], score, rows[worst])
        return score, self.renderer(distances)

    def _weight(self, patch: Tensor, distance: Tensor, row: Tensor) -> Tensor:
        """Return the weight of equation 7; see :class:`~pyimgano.models.patchcore.PatchCore`."""
        around = self.nearest.distances(patch, self.support[row].reshape(-1))
        farthest = around.max()
        return 1.0 - (distance - farthest).exp() / (around - farthest).exp().sum()
