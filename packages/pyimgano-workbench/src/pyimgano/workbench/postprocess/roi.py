"""The region of interest: the part of an image that counts, as polygons or as an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.errors import ConfigError, ImageError
from pyimgano.core.images import read_mask

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Roi", "copy_roi", "is_table", "roi_of", "roi_problems"]

UNITS = ("pixel", "fraction")
KEYS = ("polygons", "unit", "size")

Place = tuple[Union[str, int], ...]
Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Roi:
    """What counts of an image.

    Attributes
    ----------
    polygons : tuple of polygons
        Each of three or more corners (x, y), from the upper left corner of the image. Together they are the region.
    unit : {"pixel", "fraction"}
        Of the corners: (0, 0) to (W, H), or to (1, 1).
    size : (int, int) or None
        (width, height) of the images that corners in pixels are meant for; None: any that they lie in.
    mask : ndarray, (H, W) bool, or None
        Instead of polygons: True counts.
    """

    polygons: tuple[Polygon, ...] = ()
    unit: str = "pixel"
    size: Optional[tuple[int, int]] = None
    mask: Optional[np.ndarray] = None

    def inside(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the region in an image of (H, W) pixels, (H, W) bool.

        A pixel belongs to a polygon if its centre does (even-odd rule). Column x of an image reaches from x to x + 1,
        as in a region's box.

        Raises
        ------
        ImageError
            When the region is for images of another size; it names both. When no pixel is in it.
        """
        height, width = int(shape[0]), int(shape[1])
        if self.mask is not None:
            if self.mask.shape != (height, width):
                raise _other_size(f"{self.mask.shape[1]}×{self.mask.shape[0]}", width, height)
            return self.mask
        if self.size is not None and self.size != (width, height):
            raise _other_size(f"{self.size[0]}×{self.size[1]}", width, height)
        scale = (float(width), float(height)) if self.unit == "fraction" else (1.0, 1.0)
        corners = [[(x * scale[0], y * scale[1]) for x, y in polygon] for polygon in self.polygons]
        right, bottom = (max(corner[axis] for polygon in corners for corner in polygon) for axis in (0, 1))
        if right > width or bottom > height:
            raise _other_size(f"reaches to {right:g}×{bottom:g}", width, height)
        found = _filled(corners[0], height, width)
        for polygon in corners[1:]:
            found |= _filled(polygon, height, width)
        if not found.any():
            raise ImageError(f"no pixel of the image ({width}×{height}) lies in the region of interest")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return polygons as a JSON-friendly mapping, as a config has them; of an image its size."""
        if self.mask is not None:
            return {"size": [int(self.mask.shape[1]), int(self.mask.shape[0])]}
        known: dict[str, Any] = {"polygons": [[list(corner) for corner in polygon] for polygon in self.polygons]}
        known["unit"] = self.unit
        return known if self.size is None else {**known, "size": list(self.size)}

    def fingerprint(self) -> str:
        """Return the SHA-256 (hexadecimal) of what the region is."""
        from pyimgano.core.files import dumps_json, sha256_bytes

        pixels = b"" if self.mask is None else self.mask.tobytes()
        return sha256_bytes(dumps_json(self.to_json()).encode() + pixels)

    @classmethod
    def from_config(cls, value: Any, *, where: str = "postprocess.roi") -> Roi:
        """Return the region that a config (or an artifact) describes: the path of an image, or a table of polygons.

        Of an image every pixel that is not 0 counts.

        Raises
        ------
        ConfigError
            When it describes none.
        ImageError
            When the image cannot be read.
        """
        for place, message, allowed in roi_problems(value):
            raise ConfigError(message, where=where + "".join(f"[{part!r}]" for part in place), allowed=allowed)
        if isinstance(value, str):
            mask = read_mask(value)
            if not mask.any():
                raise ImageError("the region of interest is empty: all of its pixels are 0", where=value)
            return cls(mask=mask)
        polygons = tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in value["polygons"])
        size = value.get("size")
        return cls(polygons, value.get("unit", "pixel"), None if size is None else (size[0], size[1]))


def _other_size(roi: str, width: int, height: int) -> ImageError:
    what = (
        f"the region of interest {roi}" if roi.startswith("reaches") else f"the region of interest is for {roi} pixels"
    )
    return ImageError(
        f"{what}, the image has {width}×{height}",
        allowed="a region of the image's own size, or polygons with unit = 'fraction'",
    )


def _filled(corners: list[tuple[float, float]], height: int, width: int) -> np.ndarray:
    """Return the pixels whose centre lies in a polygon: from each edge on to the right, inside and outside change."""
    import numpy as np

    turns = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1]):
        low, high = sorted((y0, y1))
        # A row whose centre an edge begins at is crossed, one that it ends at is not: no row is crossed twice.
        first, last = (min(max(math.ceil(y - 0.5), 0), height) for y in (low, high))
        rows = np.arange(first, last)
        if rows.size:
            crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.intp)
            np.add.at(turns, (rows, columns), 1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :width] % 2 == 1)


def is_table(value: Any) -> bool:
    """Say whether a value is a table of polygons, and not one of categories."""
    return isinstance(value, Mapping) and "polygons" in value and not isinstance(value["polygons"], (str, Mapping))


def roi_of(value: Any, category: str) -> Any:
    """Return what ``postprocess.roi`` says of a category: a path, a table of polygons, or None."""
    if isinstance(value, Mapping) and not is_table(value):
        return value.get(category)
    return value


def roi_problems(value: Any, *, categories: bool = False) -> list[tuple[Place, str, Optional[str]]]:
    """Return (place in the value, what is wrong, what is allowed) of all that is wrong with a region of interest.

    Parameters
    ----------
    value : object
        As it stands in a config; not None.
    categories : bool
        Whether it may be a table of regions by category.
    """
    if isinstance(value, str):
        return [] if value else [((), "is empty", "the path of an image")]
    if not isinstance(value, Mapping) or (not is_table(value) and not categories):
        what = "the path of an image, or a table {polygons = [[[x, y], …]]}"
        return [((), repr(value)[:80], what + (", or either by category" if categories else ""))]
    if not is_table(value):
        if not value:
            return [((), "names no category", "the path of an image, polygons, or either by category")]
        return [
            ((str(name), *place), message, allowed)
            for name, part in value.items()
            for place, message, allowed in roi_problems(part)
        ]
    found: list[tuple[Place, str, Optional[str]]] = [
        ((str(key),), "unknown key", ", ".join(KEYS)) for key in value if key not in KEYS
    ]
    unit = value.get("unit", "pixel")
    if unit not in UNITS:
        found.append((("unit",), repr(unit), " or ".join(map(repr, UNITS))))
    found += _polygon_problems(value["polygons"], 1.0 if unit == "fraction" else math.inf)
    size = value.get("size")
    if size is not None and unit == "fraction":
        found.append((("size",), "has no effect with unit = 'fraction'", "leave it out"))
    elif size is not None and not (_row(size, 2) and all(type(part) is int and part > 0 for part in size)):
        found.append((("size",), repr(size), "[width, height] in pixels"))
    return found


def _row(value: Any, n: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == n


def _polygon_problems(polygons: Any, most: float) -> list[tuple[Place, str, Optional[str]]]:
    if not isinstance(polygons, (list, tuple)) or not polygons:
        return [(("polygons",), repr(polygons)[:80], "a list of polygons, each a list of corners [x, y]")]
    found: list[tuple[Place, str, Optional[str]]] = []
    bound = "fractions from 0 to 1" if most == 1.0 else "numbers of pixels, 0 or more"
    for index, polygon in enumerate(polygons):
        place: Place = ("polygons", index)
        if not isinstance(polygon, (list, tuple)):
            found.append((place, repr(polygon)[:80], "a list of corners [x, y]"))
            continue
        if len(polygon) < 3:
            found.append((place, f"has {len(polygon)} corners", "three or more [x, y]"))
        for number, corner in enumerate(polygon):
            numbers = _row(corner, 2) and all(
                isinstance(part, (int, float)) and not isinstance(part, bool) and 0 <= part <= most and part < math.inf
                for part in corner
            )
            if not numbers:
                found.append(((*place, number), repr(corner)[:80], f"[x, y], {bound}"))
    return found


def copy_roi(roi: Roi, path: Path) -> None:
    """Write a region that is an image as a PNG of 0 and 255."""
    from pyimgano.core.images import write_png

    assert roi.mask is not None
    write_png(roi.mask.astype("uint8") * 255, path)
