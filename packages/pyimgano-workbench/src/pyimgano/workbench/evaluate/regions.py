"""Regions: those of the ground truth and whether a threshold finds them, and those predicted where nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.workbench.region_labels import label_regions

if TYPE_CHECKING:
    import numpy as np

__all__ = ["count_regions", "true_regions"]


def true_regions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the connected regions of a ground-truth mask, with 8 neighbours.

    Parameters
    ----------
    mask : ndarray, (H, W) bool
        True is defective.

    Returns
    -------
    regions : ndarray, (m,) int32
        For each defective pixel, in the order of ``mask``, the number of its region, from 0.
    areas : ndarray, (r,) int
        Pixels of each region.
    """
    labels, _, areas = label_regions(mask)
    return labels[mask] - 1, areas


def count_regions(predicted: np.ndarray, *, min_area: int = 0) -> int:
    """Return the number of connected regions (8 neighbours) of a predicted mask, (H, W) bool.

    Parameters
    ----------
    min_area : int
        A region of fewer pixels is not counted.
    """
    import numpy as np

    if not predicted.any():
        return 0
    _, _, areas = label_regions(predicted)
    return int(np.count_nonzero(areas >= min_area))
