"""PaDiM in a graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.maps import RenderedMap
from pyimgano.models.graphs.patches import AlignedPatches, as_rows

__all__ = ["PadimGraph"]

_BANDS = 4
"""Bands of rows that the whitening matrices are kept in: 5/8 of their size, where the triangle has 1/2."""


class PadimGraph(nn.Module):
    """What :class:`~pyimgano.models.padim.Padim` makes of a backbone's features.

    A distance is the length of a triangular matrix times the offset from the mean. The matrices are kept in bands of
    rows, each as long as its last row: half of a square matrix would be zeros, and reading the matrices is what takes
    the time.

    Parameters
    ----------
    channels : ndarray, (D,) of int
    mean : ndarray, (P, D) float64
    whitening : ndarray, (P, D (D + 1) / 2) float32
        See :class:`pyimgano.models.gaussians.PositionGaussians`.
    renderer : RenderedMap
    """

    mean: Tensor
    rest: Tensor

    def __init__(self, channels: np.ndarray, mean: np.ndarray, whitening: np.ndarray, *, renderer: RenderedMap) -> None:
        super().__init__()
        self.patches = AlignedPatches(channels)
        leading = mean.astype(np.float32)
        self.register_buffer("mean", torch.from_numpy(leading))
        # The matrices magnify what rounding the mean would take away.
        self.register_buffer("rest", torch.from_numpy((mean - leading).astype(np.float32)))
        count = mean.shape[1]
        ends = np.unique(np.linspace(0, count, min(_BANDS, count) + 1).astype(int))
        rows, columns = np.tril_indices(count)
        self.ends = [int(end) for end in ends[1:]]
        for band, (first, end) in enumerate(zip(ends[:-1], ends[1:])):
            inside = (rows >= first) & (rows < end)
            matrices = np.zeros((len(mean), end - first, end), dtype=np.float32)
            matrices[:, rows[inside] - first, columns[inside]] = whitening[:, inside]
            self.register_buffer(f"band{band}", torch.from_numpy(matrices))
        self.renderer = renderer

    def forward(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (1,) and (1, height, width)."""
        offsets = (as_rows(self.patches(layers)) - self.mean - self.rest)[..., None]
        squared = [
            torch.matmul(getattr(self, f"band{band}"), offsets[:, :end]).square().sum(dim=(1, 2))
            for band, end in enumerate(self.ends)
        ]
        distances = torch.stack(squared).sum(dim=0).sqrt()
        rendered = self.renderer(distances)
        return rendered.amax(dim=(1, 2)), rendered
