"""Where the object is in an image: the first principal component of its patch features, as AnomalyDINO takes it."""

from __future__ import annotations

import numpy as np

from pyimgano.models.parallel import one_blas_thread

__all__ = ["MIDDLE_SHARE", "captures_object", "foreground_mask", "middle"]

BORDER = 0.2
"""Share of the sides that is not the middle."""
MIDDLE_SHARE = 0.35
"""Share of the middle that an object must fill at least."""
_SIDE = 3
"""Patches, of the square that the mask is widened and closed with."""


def foreground_mask(patches: np.ndarray, threshold: float) -> np.ndarray:
    """Return which patches show the object.

    Those whose coordinate along the first principal component exceeds the threshold; when they fill no more than
    35 % of the image's middle, those on the other side. The mask is then widened by one patch, and holes are closed.

    Parameters
    ----------
    patches : ndarray, (h, w, D) float32
        Features of one image, not normalised.
    threshold : float
        In units of the features; the authors' is 10, for DINOv2.

    Returns
    -------
    ndarray, (h, w) bool
    """
    import cv2

    along = _first_component(patches)
    mask = along > threshold
    middle = _middle(mask)
    if middle.sum() <= middle.size * MIDDLE_SHARE:
        mask = -along > threshold
    kernel = np.ones((_SIDE, _SIDE), dtype=np.uint8)
    widened = cv2.dilate(mask.astype(np.uint8), kernel)
    closed: np.ndarray = cv2.morphologyEx(widened, cv2.MORPH_CLOSE, kernel).astype(bool)
    return closed


def captures_object(mask: np.ndarray) -> bool:
    """Tell whether a mask looks like an object before a background.

    It fills more than 35 % of the middle and at most half of the outermost patches. A texture, or a part seen so close
    that it leaves the image, has no such mask.

    Parameters
    ----------
    mask : ndarray, (h, w) bool
    """
    middle = _middle(mask)
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return bool(middle.mean() > MIDDLE_SHARE and edge.mean() <= 0.5)


def middle(height: int, width: int) -> tuple[slice, slice]:
    """Return which rows and columns of a grid are the middle of the image; all, where the grid has none there."""
    rows = slice(int(height * BORDER), int(height * (1 - BORDER)))
    columns = slice(int(width * BORDER), int(width * (1 - BORDER)))
    empty = rows.stop <= rows.start or columns.stop <= columns.start
    return (slice(0, height), slice(0, width)) if empty else (rows, columns)


def _middle(mask: np.ndarray) -> np.ndarray:
    part: np.ndarray = mask[middle(*mask.shape)]
    return part


def _first_component(patches: np.ndarray) -> np.ndarray:
    """Return (h, w) float64 coordinates; the component's largest entry is positive, as with scikit-learn's PCA."""
    rows = patches.reshape(-1, patches.shape[-1]).astype(np.float64)
    rows -= rows.mean(axis=0)
    with one_blas_thread():  # LAPACK's last bits depend on the number of threads
        _, directions = np.linalg.eigh(rows.T @ rows)
        direction = directions[:, -1]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        along: np.ndarray = rows @ direction
    return along.reshape(patches.shape[:2])
