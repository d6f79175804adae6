"""Blurs as products with constant matrices, taken from the function that blurs in the detector."""

from __future__ import annotations

from typing import Callable

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Blur"]


class Blur(nn.Module):
    """A separable blur of (…, h, w) float64.

    Parameters
    ----------
    size : (int, int)
    blur : callable
        Blurs (n, 1) float64 down its columns, whatever the border and the kernel. What it makes of each unit vector
        are the columns of the matrix: so the graph has the very weights that OpenCV takes.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], blur: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        rows, columns = (_matrix(side, blur) for side in size)
        self.register_buffer("rows", torch.from_numpy(rows))
        self.register_buffer("columns", torch.from_numpy(np.ascontiguousarray(columns.T)))

    def forward(self, values: Tensor) -> Tensor:
        """Return the blurred values."""
        return torch.matmul(torch.matmul(self.rows, values), self.columns)


def _matrix(side: int, blur: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    units = np.eye(side)
    return np.stack([np.asarray(blur(unit[:, None])).reshape(side) for unit in units], axis=1)
