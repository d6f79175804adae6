"""Drifts of the optics: focus and motion."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from pyimgano.workbench.augment.augmentation import Change
from pyimgano.workbench.augment.fields import side_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Defocus", "MotionBlur"]

LARGE = 8.0
"""Radius in pixels of the disks that an image is blurred by as it is; greater ones blur a smaller copy of it."""

FINEST = 0.6
"""Radius in pixels below which a disk would change nothing: images of few pixels are blurred by this one."""


def filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 filtered by an odd-sided kernel, with mirrored borders."""
    import cv2

    blurred: np.ndarray = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return blurred.reshape(image.shape)


def disk(radius: float) -> np.ndarray:
    """Return a disk of so many pixels' radius as a kernel, float32 with sum 1 and a rim that is one pixel soft."""
    import numpy as np

    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    kernel = np.clip(radius + 0.5 - np.hypot(offsets[:, None], offsets), 0.0, 1.0)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def line(length: float, angle: float) -> np.ndarray:
    """Return a line of so many pixels in a direction (radians) as a kernel, float32 with sum 1."""
    import numpy as np

    half = length / 2.0
    reach = max(1, int(np.ceil(half)))
    places = np.linspace(-half, half, max(3, int(8 * length)))
    rows, columns = places * np.sin(angle) + reach, places * np.cos(angle) + reach
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    below, right = rows - top, columns - left
    last = 2 * reach
    for row, down in ((top, 1.0 - below), (np.minimum(top + 1, last), below)):
        for column, along in ((left, 1.0 - right), (np.minimum(left + 1, last), right)):
            np.add.at(kernel, (row, column), down * along)
    # Rows and columns without weight would only be multiplied by.
    used_rows, used_columns = np.abs(rows - reach).max(), np.abs(columns - reach).max()
    trim = (reach - int(np.ceil(used_rows - 1e-9)), reach - int(np.ceil(used_columns - 1e-9)))
    kernel = kernel[trim[0] : last + 1 - trim[0], trim[1] : last + 1 - trim[1]]
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


class Defocus(Change):
    """The part lies out of focus: every point becomes a disk (the aperture's image, by geometric optics).

    Nothing is drawn by lot. Disks of more than 8 pixels' radius are those of a reduced copy, enlarged afterwards: what
    is lost by that they have blurred away.

    Parameters
    ----------
    severity : int
        Radius of the disk: 0.4, 0.8, 1.3, 2.0 or 3.0 % of the shorter side (at least 0.6 pixels).
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"radius in %": (0.4, 0.8, 1.3, 2.0, 3.0)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import cv2

        radius = max(FINEST, self._level("radius in %") / 100.0 * side_of(image.shape))
        if radius <= LARGE:
            return filtered(image, disk(radius))
        height, width = image.shape[:2]
        factor = radius / LARGE
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        small = filtered(cv2.resize(image, size, interpolation=cv2.INTER_AREA), disk(LARGE))
        enlarged: np.ndarray = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        return enlarged


class MotionBlur(Change):
    """The part moves while the shutter is open: every point becomes a line, in a direction drawn by lot.

    Parameters
    ----------
    severity : int
        Length of the line: 0.9, 1.8, 3.0, 5.0 or 8.0 % of the shorter side (at least 1.5 pixels).
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"length in %": (0.9, 1.8, 3.0, 5.0, 8.0)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        length = max(1.5, self._level("length in %") / 100.0 * side_of(image.shape))
        return filtered(image, line(length, rng.uniform(0.0, np.pi)))
