"""How many pixels an image file claims to have, read from its header: before a decoder believes it.

A file of some kilobytes may unpack to gigabytes. The size is found without decoding anything, in the formats that
:mod:`pyimgano.core.images` takes; a file of none of them has no size, and is refused.
"""

from __future__ import annotations

import struct
from typing import Optional

from pyimgano.core.errors import ImageError

__all__ = ["MAX_PIXELS", "check_pixels", "declared_size"]

MAX_PIXELS = 2**26
"""Pixels of the largest image that is decoded, unless another limit is given: 8192 × 8192."""


def check_pixels(data: bytes, limit: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) of an image file that has at most ``limit`` pixels.

    Raises
    ------
    ImageError
        When it has more, or is no image of a format that is taken.
    """
    if not data:
        raise ImageError("the file is empty")
    size = declared_size(data)
    if size is None:
        raise ImageError(
            "not a readable image (damaged, truncated, or another kind of file)",
            allowed="PNG, JPEG, BMP, TIFF, WebP, PNM, JPEG 2000",
        )
    width, height = size
    if width * height > limit:
        raise ImageError(
            f"the image claims {width}×{height} pixels",
            allowed=f"at most {limit} pixels",
            hint="--max-pixels raises it",
        )
    return size


def declared_size(data: bytes) -> Optional[tuple[int, int]]:
    """Return (width, height) in pixels that an image file's header states; None where it states none."""
    try:
        for begins, read in _READERS:
            if data.startswith(begins):
                size = read(data)
                return size if size is not None and size[0] > 0 and size[1] > 0 else None
    except (struct.error, IndexError, ValueError):  # the header is torn
        return None
    return None


def _png(data: bytes) -> Optional[tuple[int, int]]:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


_NO_FRAME = {0xC4, 0xC8, 0xCC}  # tables and an extension, within the range of the frame headers


def _jpeg(data: bytes) -> Optional[tuple[int, int]]:
    position = 2
    while True:
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            position += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            return None
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]


def _bmp(data: bytes) -> Optional[tuple[int, int]]:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:  # OS/2
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _tiff(data: bytes) -> Optional[tuple[int, int]]:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count_kind, entry_size, at = ("Q", 20, 8) if big else ("H", 12, 4)
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, at)
    (count,) = struct.unpack_from(order + count_kind, data, start)
    start += struct.calcsize(order + count_kind)
    kinds = {1: "B", 3: "H", 4: "I", 16: "Q"}
    found: dict[int, int] = {}
    for index in range(min(count, 4096)):
        place = start + index * entry_size
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in (256, 257) and kind in kinds:
            (found[tag],) = struct.unpack_from(order + kinds[kind], data, place + (12 if big else 8))
    return (found[256], found[257]) if len(found) == 2 else None


def _webp(data: bytes) -> Optional[tuple[int, int]]:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return (width, int.from_bytes(data[27:30], "little") + 1) if len(data) >= 30 else None
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _pnm(data: bytes) -> Optional[tuple[int, int]]:
    numbers: list[int] = []
    position = 2
    while len(numbers) < 2:
        letter = data[position : position + 1]
        if letter == b"#":
            position = data.index(b"\n", position)
        elif letter.isspace():
            position += 1
        elif letter.isdigit():
            end = position
            while data[end : end + 1].isdigit() and end - position < 12:
                end += 1
            numbers.append(int(data[position:end]))
            position = end
        else:
            return None
    return numbers[0], numbers[1]


def _jp2(data: bytes) -> Optional[tuple[int, int]]:
    # The codestream says what is decoded; the boxes around it only repeat it.
    start = data.find(b"\xff\x4f\xff\x51")
    return None if start < 0 else _codestream(data[start:])


def _codestream(data: bytes) -> Optional[tuple[int, int]]:
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    return right - left, bottom - top


_READERS = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"BM", _bmp),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (b"RIFF", _webp),
    ((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), _pnm),
    (b"\0\0\0\x0cjP  \r\n\x87\n", _jp2),
    (b"\xff\x4f\xff\x51", _codestream),
)
