"""What an image file is before it is decoded: its colour model and bit depth, which decoding evens out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["describe_kind"]

_PNG = {0: "grey", 2: "RGB", 3: "palette", 4: "grey+alpha", 6: "RGBA"}
_JPEG = {1: "grey", 3: "RGB", 4: "CMYK"}
# Start-of-frame markers; the three that are missing from the range define tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def describe_kind(data: bytes, image: np.ndarray) -> tuple[str, str]:
    """Return colour model and bit depth, e.g. ``("palette", "8 bit")``.

    Parameters
    ----------
    data : bytes
        The file. Of PNG and JPEG the header tells.
    image : ndarray
        The decoded file, which tells for every other format.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 25:
        return _PNG.get(data[25], "unknown"), f"{data[24]} bit"
    if data[:2] == b"\xff\xd8":
        components = _jpeg_components(data)
        if components is not None:
            return _JPEG.get(components, f"{components} channels"), "8 bit"
    model = "grey" if image.ndim == 2 else "RGB"
    bits = image.dtype.itemsize * 8
    return model, f"{bits} bit float" if image.dtype.kind == "f" else f"{bits} bit"


def _jpeg_components(data: bytes) -> int | None:
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
        elif marker in _FRAMES:
            return data[position + 9]
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None
