"""Anomaly maps as files: raw values, never normalised."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Union

from pyimgano.core.errors import ImageError
from pyimgano.core.files import atomic_open
from pyimgano.core.images import decode_image

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MAP_SUFFIX", "map_at", "read_map", "write_map"]

PathLike = Union[str, "os.PathLike[str]"]

MAP_SUFFIX = ".tiff"
"""Maps are written as 32-bit float TIFF with one channel, uncompressed, which every imaging tool reads."""


def map_at(anomaly_map: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map at an image's own size, interpolated bilinearly.

    Parameters
    ----------
    anomaly_map : ndarray, (h, w)
        Raw values that cover the whole image.
    shape : (int, int)
        (H, W) of the image.

    Returns
    -------
    ndarray, (H, W) float32
    """
    import cv2
    import numpy as np

    values = np.ascontiguousarray(anomaly_map, dtype=np.float32)
    if values.shape == tuple(shape):
        return values
    resized = cv2.resize(values, (int(shape[1]), int(shape[0])), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)


def write_map(anomaly_map: np.ndarray, path: PathLike) -> None:
    """Write (H, W) float32 as a 32-bit float TIFF, atomically; the values are kept to the last bit.

    Raises
    ------
    ImageError
        When the array is not a map.
    PyimganoError
        When the file cannot be written.
    """
    import cv2
    import numpy as np

    values = np.asarray(anomaly_map)
    if values.ndim != 2 or values.dtype != np.float32:
        raise ImageError(f"shape {values.shape}, dtype {values.dtype}", where=str(path), allowed="(H, W) float32")
    # 1: no compression.
    ok, encoded = cv2.imencode(MAP_SUFFIX, values, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    if not ok:
        raise ImageError(f"cannot encode shape {values.shape} as TIFF", where=str(path))
    with atomic_open(path, "wb") as stream:
        stream.write(encoded.tobytes())


def read_map(path: PathLike) -> np.ndarray:
    """Read what :func:`write_map` wrote: (H, W) float32.

    Raises
    ------
    ImageError
        When the file cannot be read, or is not such a map.
    """
    import numpy as np

    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise ImageError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    values = decode_image(data, where=str(path))
    if values.ndim != 2 or values.dtype != np.float32:
        raise ImageError(f"shape {values.shape}, dtype {values.dtype}", where=str(path), allowed="(H, W) float32")
    return values
