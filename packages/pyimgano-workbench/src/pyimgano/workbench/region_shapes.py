"""What is done to the pixels of regions before they are counted: hysteresis, closing, opening, filling, merging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.workbench.region_labels import label_regions

if TYPE_CHECKING:
    import numpy as np

__all__ = ["closed", "disc", "extended", "filled", "length_of", "merged", "opened"]


def extended(reached: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Return the regions of ``wide`` (8 neighbours) that hold a pixel of ``reached``: a threshold with hysteresis.

    Parameters
    ----------
    reached, wide : ndarray, (H, W) bool
        What reaches the high threshold, and the low one.
    """
    import numpy as np

    labels, _, areas = label_regions(wide)
    touched = np.zeros(areas.size + 1, np.bool_)
    touched[labels[reached]] = True
    touched[0] = False
    return np.asarray(touched[labels])


def disc(radius: int) -> np.ndarray:
    """Return the pixels whose centre is no farther than ``radius`` from that of the middle one, uint8 {0, 1}."""
    import numpy as np

    steps = np.arange(-radius, radius + 1)
    return (steps[:, None] ** 2 + steps[None, :] ** 2 <= radius * radius).astype(np.uint8)


def closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask (H, W) bool with the gaps closed that no disc of ``radius`` fits into."""
    return _morphed(mask, "close", radius)


def opened(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask (H, W) bool without what no disc of ``radius`` fits into; beyond the image's edge it goes on."""
    return _morphed(mask, "open", radius)


def _morphed(mask: np.ndarray, way: str, radius: int) -> np.ndarray:
    import cv2
    import numpy as np

    operation = cv2.MORPH_CLOSE if way == "close" else cv2.MORPH_OPEN
    there = _around(mask, radius + 1)
    result = np.zeros(mask.shape, np.bool_)
    result[there] = cv2.morphologyEx(mask[there].astype(np.uint8), operation, disc(radius)) > 0
    return result


def _around(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Return where something is marked, and so many pixels around it; no rule changes more than that."""
    import cv2
    import numpy as np

    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)


def filled(mask: np.ndarray) -> np.ndarray:
    """Return a mask (H, W) bool without holes: background (4 neighbours) that does not reach the image's edge."""
    from scipy.ndimage import binary_fill_holes

    there = _around(mask, 0)
    result = mask.copy()
    result[there] = binary_fill_holes(mask[there])
    return result


def merged(labels: np.ndarray, boxes: np.ndarray, distance: int) -> np.ndarray:
    """Return for each region the number of the one that it becomes a part of, from 0, (r,) intp.

    Two regions are joined where the centres of their nearest pixels are at most ``distance`` + 1 apart, so that no more
    than ``distance`` pixels lie between them; and so are those that a third one joins.

    Parameters
    ----------
    labels : ndarray, (H, W) int32
        The number of each pixel's region, from 1.
    boxes : ndarray, (r, 4) int
        x, y, width, height of each region.
    distance : int
        Pixels.
    """
    import numpy as np
    from scipy.spatial import cKDTree

    reach = distance + 1.0
    count = len(boxes)
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    low = boxes[:, :2]
    high = boxes[:, :2] + boxes[:, 2:] - 1
    trees: dict[int, cKDTree] = {}

    def tree(index: int) -> cKDTree:
        if index not in trees:
            (x, y), (right, bottom) = low[index], high[index]
            rows, columns = np.nonzero(labels[y : bottom + 1, x : right + 1] == index + 1)
            trees[index] = cKDTree(np.stack((columns + x, rows + y), axis=1))
        return trees[index]

    order = np.argsort(low[:, 0], kind="stable")
    for place, one in enumerate(order):
        for other in order[place + 1 :]:
            if low[other, 0] - high[one, 0] > reach:
                break  # sorted by the left edge: all further ones are as far away
            gap = np.maximum(0, np.maximum(low[one], low[other]) - np.minimum(high[one], high[other]))
            if np.hypot(gap[0], gap[1]) > reach or root(int(one)) == root(int(other)):
                continue
            nearest, _ = tree(int(one)).query(tree(int(other)).data, distance_upper_bound=reach + 1e-9)
            if np.isfinite(nearest).any():
                parent[root(int(other))] = root(int(one))
    roots = np.array([root(index) for index in range(count)], np.intp)
    _, numbers = np.unique(roots, return_inverse=True)
    return np.asarray(numbers, np.intp).reshape(-1)


def length_of(mask: np.ndarray) -> float:
    """Return how many pixels long a region is: the long side of the smallest rectangle, however turned, around it.

    Parameters
    ----------
    mask : ndarray, (h, w) bool
        With at least one pixel.
    """
    import cv2
    import numpy as np

    rows, columns = np.nonzero(mask)
    points = np.stack((columns, rows), axis=1).astype(np.float32)
    # The rectangle goes through the centres of the outer pixels: half of each is missing.
    return float(max(cv2.minAreaRect(points)[1])) + 1.0
