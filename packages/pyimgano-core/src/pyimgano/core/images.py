"""Images as the detectors see them: RGB, uint8, (H, W, 3), whatever the file was.

Any colour model and bit depth that OpenCV reads is taken: 1, 8 and 16 bit, float, grey, RGB, RGBA, palette, CMYK JPEG;
the EXIF orientation is applied, alpha is dropped. A file that is not a whole image is an
:class:`~pyimgano.core.errors.ImageError`, never a picture that is grey below the tear. Two limits are OpenCV's own: an
8-bit TIFF is darkened where its alpha is transparent, and before 4.11 the orientation of a WebP is not applied.

16-bit values are divided by 257 and floats in [0, 1] multiplied by 255. Cameras that put 10 or 12 bits into 16 need
``value_range=(0, 4095)``; so do floats of any other range.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.errors import ImageError, MissingDependencyError
from pyimgano.core.files import atomic_open

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageSequence",
    "as_rgb8",
    "decode_image",
    "read_image",
    "read_mask",
    "to_rgb8",
    "write_png",
]

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".pbm", ".jp2")
)
"""File name endings (lower case) that count as images."""

PathLike = Union[str, "os.PathLike[str]"]
ValueRange = tuple[float, float]


def _cv2() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "decoding images needs 'cv2'", hint='pip install "pyimgano-core[images]"'
        ) from error
    except ImportError as error:  # installed, but a system library is missing: libGL on a bare server
        raise MissingDependencyError(
            f"'cv2' is installed but does not import: {error}",
            hint="run `pyimgano doctor`; on a server without libGL: pip install opencv-python-headless",
        ) from error
    return cv2


_ROWS = 256


def _is_whole(data: bytes) -> bool:
    """Tell whether a JPEG or PNG has its end; older OpenCV fills what is missing with grey and reports nothing."""
    if data[:2] == b"\xff\xd8":
        position = 2
        while position + 4 <= len(data):
            if data[position] != 0xFF:
                return True  # not the structure of a JPEG: the decoder shall judge
            marker = data[position + 1]
            if marker == 0xFF:
                position += 1
                continue
            if marker == 0xDA:  # start of scan: the end-of-image marker must follow (a thumbnail's came before)
                return data.find(b"\xff\xd9", position) >= 0
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        return False
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return data.find(b"IEND", 8) >= 0
    return True


def decode_image(data: bytes, *, where: str = "image") -> np.ndarray:
    """Decode an image file's bytes, keeping its bit depth.

    Parameters
    ----------
    data : bytes
        The whole file.
    where : str
        Name for the error.

    Returns
    -------
    ndarray
        (H, W) or (H, W, 3) in RGB order, uint8, uint16 or float; orientation applied, alpha dropped.

    Raises
    ------
    ImageError
        When the bytes are not an image, or not all of one.
    """
    import numpy as np

    if not data:
        raise ImageError("the file is empty", where=where)
    cv2 = _cv2()
    if not _is_whole(data):
        raise ImageError("the image is truncated", where=where, hint="copy it again from its source")
    try:
        # ANYCOLOR | ANYDEPTH rather than UNCHANGED, which ignores the EXIF orientation.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        hint = None
        if "CV_IO_MAX_IMAGE" in str(error):
            hint = "OpenCV refuses images of more than 2^30 pixels: raise OPENCV_IO_MAX_IMAGE_PIXELS in the environment"
        raise ImageError(f"cannot decode: {error.err or error}", where=where, hint=hint) from error
    if image is None:
        raise ImageError(
            "not a readable image (damaged, truncated, or another kind of file)",
            where=where,
            allowed="PNG, JPEG, BMP, TIFF, WebP, PNM, JPEG 2000",
        )
    if image.ndim == 3:
        # In place, a block of rows at a time: an image of 8192 × 8192 pixels would take 200 MB more for a moment.
        # OpenCV takes a twentieth of the time of a copy of NumPy's reversed view.
        for top in range(0, len(image), _ROWS):
            rows = image[top : top + _ROWS]
            known = rows.dtype in (np.uint8, np.uint16, np.float32)
            image[top : top + _ROWS] = cv2.cvtColor(rows, cv2.COLOR_BGR2RGB) if known else rows[..., ::-1].copy()
    return image


def to_rgb8(image: np.ndarray, *, value_range: Optional[ValueRange] = None, where: str = "image") -> np.ndarray:
    """Return an image array as RGB uint8.

    Parameters
    ----------
    image : ndarray
        (H, W), (H, W, 1), (H, W, 3) in RGB order or (H, W, 4) in RGBA order; bool, uint8, uint16 or floating.
    value_range : (float, float), optional
        The values that become 0 and 255; what lies outside is clipped. Default: the whole range of uint8 and uint16,
        [0, 1] of floats.
    where : str
        Name for the error.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, C-contiguous. The input itself when it already is one.

    Raises
    ------
    ImageError
        When the shape or dtype is another, a value is not finite, or a float lies outside [0, 1] and no
        ``value_range`` says what it means.
    """
    import numpy as np

    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)) or 0 in image.shape:
        raise ImageError(
            f"shape {image.shape}", where=where, allowed="(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not empty"
        )
    if image.ndim == 3 and image.shape[2] == 4:
        image = image[..., :3]
    if value_range is not None:
        image = _rescale(image, value_range, where)
    elif image.dtype == np.uint16:
        image = ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    elif image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    elif np.issubdtype(image.dtype, np.floating):
        low, high = float(image.min()), float(image.max())
        if not (low >= 0.0 and high <= 1.0):  # also true when either is NaN
            raise ImageError(
                f"float values from {low:g} to {high:g}",
                where=where,
                allowed="floats in [0, 1], all finite",
                hint="give the meaning of the values: value_range = [low, high]",
            )
        image = np.rint(image * 255.0).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise ImageError(f"dtype {image.dtype}", where=where, allowed="uint8, uint16, bool, float16/32/64")
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image)


def _rescale(image: np.ndarray, value_range: ValueRange, where: str) -> np.ndarray:
    import numpy as np

    low, high = float(value_range[0]), float(value_range[1])
    if not low < high:
        raise ImageError(f"value_range = [{low:g}, {high:g}]", where=where, allowed="[low, high] with low < high")
    scaled = (image.astype(np.float32) - low) * (255.0 / (high - low))
    if not np.isfinite(scaled).all():
        raise ImageError("the image has values that are not finite", where=where)
    rounded: np.ndarray = np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)
    return rounded


def read_bytes(path: PathLike) -> bytes:
    """Return a file's bytes; an :class:`ImageError` names a file that cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read: {error.strerror or error}", where=str(path)) from error


def read_image(path: PathLike, *, value_range: Optional[ValueRange] = None) -> np.ndarray:
    """Read an image file as RGB uint8 (H, W, 3); see :func:`to_rgb8` for the rules and the errors.

    Non-ASCII paths work on every system, since the bytes are read by Python and only decoded by OpenCV.
    """
    where = str(path)
    return to_rgb8(decode_image(read_bytes(path), where=where), value_range=value_range, where=where)


def as_rgb8(source: Any, *, value_range: Optional[ValueRange] = None, where: Optional[str] = None) -> np.ndarray:
    """Return a path or an array as RGB uint8 (H, W, 3)."""
    if isinstance(source, (str, os.PathLike)):
        return read_image(source, value_range=value_range)
    return to_rgb8(source, value_range=value_range, where=where or "image array")


def read_mask(path: PathLike, *, shape: Optional[tuple[int, int]] = None) -> np.ndarray:
    """Read a ground-truth mask: everything that is not 0 is defect.

    Of a PNG with a palette the indices count, not the colours, which may all be black; unless index 0 is not black and
    black pixels are there, which then are the background. Of a JPEG, whose zeros are blurred, values from 128 on count.

    Parameters
    ----------
    path : path-like
        Image file; class ids, palettes and 0/255 alike.
    shape : (int, int), optional
        (H, W) of the image that it belongs to.

    Returns
    -------
    ndarray
        (H, W) bool.

    Raises
    ------
    ImageError
        When it cannot be read, or has another size than its image.
    """
    where = str(path)
    data = read_bytes(path)
    mask = _palette_mask(data, where)
    if mask is None:
        values = decode_image(data, where=where)
        mask = values >= 128 if data[:2] == b"\xff\xd8" else values != 0
        mask = mask if mask.ndim == 2 else mask.any(axis=2)
    if shape is not None and mask.shape != tuple(shape):
        raise ImageError(
            f"the mask has {mask.shape[1]}×{mask.shape[0]} pixels, its image {shape[1]}×{shape[0]}",
            where=where,
            allowed="a mask of the image's own size",
        )
    return mask


def _palette_mask(data: bytes, where: str) -> Optional[np.ndarray]:
    """Return the mask that a PNG's palette indices mean, or None when the file is no PNG with a palette."""
    import struct
    import zlib

    import numpy as np

    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[25:26] != b"\x03":  # the colour type of the header
        return None
    # OpenCV returns colours only. The same file without its palette is a grey image of the indices.
    parts = [data[:8]]
    palette = b""
    position = 8
    while position + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        body = data[position + 8 : position + 8 + size]
        if kind == b"PLTE":
            palette = body
        elif kind == b"IHDR":
            body = body[:9] + b"\x00" + body[10:]
            parts.append(struct.pack(">I4s", size, kind) + body + struct.pack(">I", zlib.crc32(kind + body)))
        elif kind != b"tRNS":
            parts.append(data[position : position + 12 + size])
        position += 12 + size
    indices = decode_image(b"".join(parts), where=where)
    if indices.ndim != 2:
        raise ImageError("the palette's indices cannot be read", where=where)
    background = indices == 0
    depth = data[24]
    if palette[:3] != b"\0\0\0" and depth <= 8:
        # Below 8 bits the indices come stretched to 0 … 255.
        colours = np.zeros((256, 3), np.uint8)
        known = np.frombuffer(palette[: len(palette) // 3 * 3], np.uint8).reshape(-1, 3)[:256]
        colours[: len(known)] = known
        black = ~colours[np.rint(indices * ((2**depth - 1) / 255.0)).astype(np.intp)].any(axis=2)
        if black.any():
            background = black
    result: np.ndarray = ~background
    return result


def write_png(image: np.ndarray, path: PathLike) -> None:
    """Write (H, W) or RGB (H, W, 3), uint8 or uint16, as a PNG, atomically and under any path."""
    import numpy as np

    cv2 = _cv2()
    array = np.asarray(image)
    ok, encoded = cv2.imencode(".png", array if array.ndim == 2 else array[..., ::-1])
    if not ok:
        raise ImageError(f"cannot encode shape {array.shape}, dtype {array.dtype} as PNG", where=str(path))
    with atomic_open(path, "wb") as stream:
        stream.write(encoded.tobytes())


class ImageSequence(Sequence["np.ndarray"]):
    """A sequence of images that decodes when an item is asked for.

    Parameters
    ----------
    sources : sequence of path-like or ndarray
        The images.
    value_range : (float, float), optional
        See :func:`to_rgb8`.
    """

    def __init__(self, sources: Sequence[Any], *, value_range: Optional[ValueRange] = None) -> None:
        self.sources = sources
        self.value_range = value_range

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ImageSequence(self.sources[index], value_range=self.value_range)
        return as_rgb8(self.sources[index], value_range=self.value_range, where=f"image {index}")
