"""Anomaly maps of torch tensors: what :mod:`pyimgano.models.anomaly_map` is for arrays, and what graphs can hold."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyimgano.models.anomaly_map import axis_matrix

__all__ = ["render"]


def render(
    grid: Tensor, size: tuple[int, int], *, sigma: float = 0.0, interpolation: str = "bilinear", truncate: float = 4.0
) -> Tensor:
    """Return values on a grid, (N, h, w) float32 on the CPU, as maps, (N, height, width): interpolated and smoothed.

    See :func:`pyimgano.models.anomaly_map.render_maps`, whose matrices these are, in float32. They are constants of a
    graph that is traced through here: two products, whatever the interpolation.
    """
    rows, columns = (
        axis_matrix(int(source), target, float(sigma), interpolation, float(truncate)).astype(np.float32)
        for source, target in zip(grid.shape[1:], size)
    )
    return torch.from_numpy(rows) @ grid @ torch.from_numpy(np.ascontiguousarray(columns.T))
