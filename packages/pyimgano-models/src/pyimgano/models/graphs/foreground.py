"""Where the object is, in a graph: as :mod:`pyimgano.models.foreground`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.foreground import MIDDLE_SHARE, middle
from pyimgano.models.graphs.patches import as_rows

__all__ = ["ForegroundMask"]

_SQUARINGS = 14
"""Of the scatter matrix: as 16,384 steps of the power method."""


class ForegroundMask(nn.Module):
    """The mask of :func:`pyimgano.models.foreground.foreground_mask`: (1, D, h, w) to (1, h, w) bool.

    ONNX has no eigenvectors. The scatter matrix squared again and again tends to the product of the first one with
    itself, and its greatest column is taken. Two first components whose variances differ by less than a part in a
    thousand are not told apart; which of them decides the mask is then chance in the detector, too.

    Parameters
    ----------
    threshold : float
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, patches: Tensor) -> Tensor:
        """Return which patches show the object."""
        height, width = (int(side) for side in patches.shape[2:])
        along = _first_component(as_rows(patches)).reshape(1, height, width)
        rows, columns = middle(height, width)
        inside = (along[:, rows, columns] > self.threshold).to(torch.float32)
        few = inside.sum() <= int(inside.numel()) * MIDDLE_SHARE
        # The sides are swapped before the comparison: runtimes choose between numbers, not all between truth values.
        widened = _dilate((torch.where(few, -along, along) > self.threshold).to(torch.float32))
        return -_dilate(-_dilate(widened)) > 0.5


def _first_component(rows: Tensor) -> Tensor:
    """Return the (n,) coordinates of (n, D) rows; the component's largest entry is positive."""
    rows = rows - rows.mean(dim=0)
    scatter = torch.matmul(rows.T, rows)
    power = scatter / _diagonal(scatter).sum()
    for _ in range(_SQUARINGS):
        power = torch.matmul(power, power)
        power = power / _diagonal(power).sum()
    # A column is kept as a matrix: onnxruntime (1.32) joins a transposition with the product of a matrix and a vector
    # to one operator that gives other numbers.
    column = power.index_select(1, _diagonal(power).argmax(dim=0, keepdim=True))
    for _ in range(2):  # what squaring has rounded away
        column = torch.matmul(scatter, column / column.abs().amax())
    direction = column / column.square().sum().sqrt()
    largest = direction.index_select(0, direction.flatten().abs().argmax(dim=0, keepdim=True))
    return torch.matmul(rows, direction * torch.sign(largest)).flatten()


def _diagonal(matrix: Tensor) -> Tensor:
    """Return the (D,) diagonal of (D, D); ONNX has no operator for it."""
    return matrix.reshape(-1)[:: int(matrix.shape[0]) + 1]


def _dilate(mask: Tensor) -> Tensor:
    """Return the greatest value in the 3 × 3 patches around each; what is beyond the border does not count."""
    return functional.max_pool2d(mask[None], 3, stride=1, padding=1)[0]
