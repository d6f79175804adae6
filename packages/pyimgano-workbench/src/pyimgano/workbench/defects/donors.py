"""Other images that a piece of is pasted, turned and enlarged so that their pattern is out of place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["out_of_place"]


def out_of_place(donor: np.ndarray, shape: tuple[int, ...], chance: np.random.Generator) -> np.ndarray:
    """Return the donor enlarged to at least half more than the image in each direction, and turned by lot.

    Parameters
    ----------
    donor : ndarray, (h, w, 3) uint8
        Of any size; not changed.
    shape : (int, int, ...)
        Height and width of the image that a piece is pasted into.
    chance : Generator
        Draws the quarter turns.
    """
    import cv2
    import numpy as np

    turned = np.rot90(donor, int(chance.integers(1, 4)))
    height, width = (round(1.5 * side) for side in shape[:2])
    resized: np.ndarray = cv2.resize(np.ascontiguousarray(turned), (width, height), interpolation=cv2.INTER_LINEAR)
    return resized
