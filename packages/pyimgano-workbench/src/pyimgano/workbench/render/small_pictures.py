"""Pictures small enough that a page can hold many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyimgano.core.errors import PyimganoError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["QUALITY", "SIDE", "encode_jpeg", "shrink"]

SIDE = 256
"""Pixels of a picture's longer side, at most."""

QUALITY = 80
"""Of the JPEG."""


def shrink(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return an image, (H, W, 3) uint8, whose longer side has at most ``side`` pixels; a smaller one as it is."""
    import cv2
    import numpy as np

    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1.0:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def encode_jpeg(picture: np.ndarray, where: Any) -> bytes:
    """Return an RGB picture, (H, W, 3) uint8, as JPEG.

    Raises
    ------
    PyimganoError
        When it cannot be encoded; it names ``where``.
    """
    import cv2
    import numpy as np

    # Colour at full resolution: the outlines are a pixel wide, and halved they turn grey.
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    ok, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), options)
    if not ok:
        raise PyimganoError(f"cannot encode shape {picture.shape} as JPEG", where=str(where))
    return bytes(encoded.tobytes())
