"""Arithmetic on uint8 images: by tables, by fields of gains, and towards a colour.

A camera's values are taken as a power of the light: ``value = 255 · light^(1/2.2)`` with white at 1, which is within
some grey levels of sRGB. Light that is multiplied by a gain therefore multiplies values by ``gain^(1/2.2)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ENCODING", "by_table", "is_grey", "lit", "multiplied", "stops", "towards"]

ENCODING = 2.2
"""Exponent between a camera's values and light."""


def stops(exposure: float) -> float:
    """Return what values are multiplied by when the light changes by so many stops (EV; +1 doubles it)."""
    return float(2.0 ** (exposure / ENCODING))


def is_grey(image: np.ndarray) -> bool:
    """Tell whether the three channels of (H, W, 3) are equal everywhere: a monochrome camera's image."""
    import numpy as np

    red = image[..., 0]
    return bool(np.array_equal(red, image[..., 1]) and np.array_equal(red, image[..., 2]))


def by_table(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return an image with every value looked up.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
    values : ndarray, (256,) or (256, 3) float
        New values, for all channels or for each; rounded and clipped to 0 … 255.
    """
    import cv2
    import numpy as np

    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    looked: np.ndarray = cv2.LUT(image, table if table.ndim == 1 else table.reshape(1, 256, 3))
    return looked


def multiplied(image: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 times (H, W) float gains of its values, rounded and clipped."""
    import cv2
    import numpy as np

    field = np.ascontiguousarray(gains, dtype=np.float32)
    product: np.ndarray = cv2.multiply(image, cv2.merge([field, field, field]), dtype=cv2.CV_8U)
    return product.reshape(image.shape)


def lit(image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 with (H, W) float32 white light added to each pixel's own, where 1 is white."""
    import cv2
    import numpy as np

    changed = image.copy()
    rows, columns = np.flatnonzero((light > 0).any(axis=1)), np.flatnonzero((light > 0).any(axis=0))
    if len(rows) == 0:
        return changed
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    linear = (np.arange(256.0) / 255.0) ** ENCODING
    summed = linear.astype(np.float32)[image[window]] + light[window][..., None]
    values = cv2.pow(np.minimum(summed, 1.0), 1.0 / ENCODING).reshape(summed.shape)
    changed[window] = np.rint(values * np.float32(255.0)).astype(np.uint8)
    return changed


def towards(image: np.ndarray, colour: float, opacity: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 covered by a grey level of 0 … 255 with (H, W) float opacities in [0, 1]."""
    import cv2
    import numpy as np

    cover = np.ascontiguousarray(opacity, dtype=np.float32)
    kept = multiplied(image, 1.0 - cover)
    added = np.rint(cover * np.float32(colour)).astype(np.uint8)
    mixed: np.ndarray = cv2.add(kept, cv2.merge([added, added, added]))
    return mixed.reshape(image.shape)
