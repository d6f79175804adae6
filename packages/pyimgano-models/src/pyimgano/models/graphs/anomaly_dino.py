"""AnomalyDINO in a graph."""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.foreground import ForegroundMask
from pyimgano.models.graphs.maps import RenderedMap
from pyimgano.models.graphs.nearest import NearestRows
from pyimgano.models.graphs.patches import LocallyAwarePatches, UnitVectors, as_rows

__all__ = ["AnomalyDinoGraph"]


class AnomalyDinoGraph(nn.Module):
    """What :class:`~pyimgano.models.anomaly_dino.AnomalyDino` makes of a backbone's features.

    Parameters
    ----------
    bank : ndarray, (M, D) float32
        Rows of length 1.
    worst : int
        Patches that the image's score is the mean of.
    mask : ForegroundMask or None
    renderer : RenderedMap
    """

    def __init__(self, bank: np.ndarray, *, worst: int, mask: Optional[ForegroundMask], renderer: RenderedMap) -> None:
        super().__init__()
        self.patches = LocallyAwarePatches(1)
        self.unit = UnitVectors()
        self.nearest = NearestRows(bank)
        self.worst = worst
        self.mask = mask
        self.renderer = renderer

    def forward(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (1,) and (1, height, width)."""
        patches = self.patches(layers)
        squared, _ = self.nearest(self.unit(as_rows(patches)))
        # Of vectors of length 1, half the squared Euclidean distance is the cosine distance.
        distances = squared * 0.5
        if self.mask is not None:
            shown = self.mask(patches).flatten()
            hidden = torch.logical_and(shown.any(), torch.logical_not(shown))
            distances = torch.where(hidden, torch.zeros_like(distances), distances)
        score = distances.topk(self.worst)[0].mean(dim=0, keepdim=True)
        return score, self.renderer(distances)
