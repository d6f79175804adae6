"""Maps in a graph: from a grid of patch scores to image size, as :mod:`pyimgano.models.anomaly_map`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.anomaly_map import axis_matrix

__all__ = ["RenderedMap"]


class RenderedMap(nn.Module):
    """Interpolation and smoothing as two products with constant matrices: (h w,) patch scores to (1, height, width).

    Parameters
    ----------
    grid, size : (int, int)
        Of the patch scores and of the map.
    sigma : float
    interpolation : str
        See :func:`pyimgano.models.anomaly_map.render_maps`.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self, grid: tuple[int, int], size: tuple[int, int], *, sigma: float, interpolation: str = "bilinear"
    ) -> None:
        super().__init__()
        self.grid = grid
        rows, columns = (
            axis_matrix(source, target, sigma, interpolation).astype(np.float32) for source, target in zip(grid, size)
        )
        self.register_buffer("rows", torch.from_numpy(rows))
        self.register_buffer("columns", torch.from_numpy(np.ascontiguousarray(columns.T)))

    def forward(self, scores: Tensor) -> Tensor:
        """Return the map."""
        return torch.matmul(torch.matmul(self.rows, scores.reshape(1, *self.grid)), self.columns)
