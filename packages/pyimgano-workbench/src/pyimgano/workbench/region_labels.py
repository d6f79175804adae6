"""What reaches a threshold, and which of it is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["exact_threshold", "label_regions"]


def label_regions(marked: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the connected regions of a mask, with 8 neighbours.

    Parameters
    ----------
    marked : ndarray, (H, W) bool

    Returns
    -------
    labels : ndarray, (H, W) int32
        The number of each pixel's region, from 1; 0 where the mask is False.
    boxes : ndarray, (r, 4) int32
        x, y, width, height of each region.
    areas : ndarray, (r,) int32
        Pixels of each region.
    """
    import cv2
    import numpy as np

    _, labels, stats, _ = cv2.connectedComponentsWithStats(marked.view(np.uint8), connectivity=8)
    return labels, stats[1:, : cv2.CC_STAT_AREA], stats[1:, cv2.CC_STAT_AREA]


def exact_threshold(threshold: float, kind: np.dtype) -> np.floating:
    """Return the number of a float type that splits its numbers just as the threshold does with ≥.

    A threshold is a 64-bit number. Rounded to a map's 32 bits it could fall below itself, and let a score pass that is
    less; comparing in 64 bits would be right as well, but needs a copy of the map.
    """
    import numpy as np

    rounded = kind.type(threshold)
    return rounded if float(rounded) >= threshold else np.nextafter(rounded, kind.type(np.inf))
