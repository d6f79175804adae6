"""Where the tiles of an image lie: a pure function of its size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyimgano.core.errors import ImageError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MERGES", "TileGrid", "Tiling"]

MERGES = ("hann", "max")


@dataclass(frozen=True)
class TileGrid:
    """The tiles of one image, or of one scale of it: rows × columns, all of one size, row by row.

    Attributes
    ----------
    shape : (int, int)
        (H, W) of what is cut.
    tile : (int, int)
        (height, width) of a tile.
    tops, lefts : tuple of int
        Where the rows and the columns of tiles begin, ascending; the first is 0, the last tile ends at the border.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def corners(self) -> Iterator[tuple[int, int]]:
        """Yield (top, left) of the tiles, row by row."""
        return ((top, left) for top in self.tops for left in self.lefts)

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """Return an image, (H', W', 3) uint8, at the size that is cut: shrunk by area, or itself where it has it."""
        import cv2
        import numpy as np

        if image.shape[:2] == self.shape:
            return image
        return np.asarray(cv2.resize(image, (self.shape[1], self.shape[0]), interpolation=cv2.INTER_AREA))

    def cut(self, image: np.ndarray, index: int) -> np.ndarray:
        """Return one tile of an image as a view: (height, width, C)."""
        row, column = divmod(index, len(self.lefts))
        top, left = self.tops[row], self.lefts[column]
        return image[top : top + self.tile[0], left : left + self.tile[1]]


@dataclass(frozen=True)
class Tiling:
    """How images are cut.

    Parameters
    ----------
    tile : (int, int)
        (height, width) of a tile in pixels of the image (of each scale of it).
    overlap : float
        Least share of a tile's side that it has in common with its neighbour, at least 0 and below 1. Tiles are spread
        evenly, so that most have a little more.
    scales : sequence of float
        Sizes at which the image is cut, relative to its own, each above 0 and at most 1. The maps of several scales are
        averaged.
    merge : {"hann", "max"}
        Where tiles overlap: their mean with weights that fall to 0 at a tile's border, so that no seam shows; or the
        greatest value, for defects that a border would cut.

    Raises
    ------
    ParameterError
        When a value is out of range.
    """

    tile: tuple[int, int]
    overlap: float = 0.25
    scales: tuple[float, ...] = (1.0,)
    merge: str = "hann"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        require(min(self.tile) >= 32, "tile", list(self.tile), "a side, or [height, width], at least 32 pixels")
        require(0.0 <= self.overlap < 1.0, "overlap", self.overlap, "at least 0, below 1")
        scales = self.scales
        require(len(scales) > 0 and all(0.0 < s <= 1.0 for s in scales), "scales", list(scales), "above 0, at most 1")
        require(len(set(scales)) == len(scales), "scales", list(scales), "each once")
        require(self.merge in MERGES, "merge", self.merge, ", ".join(MERGES))

    def grids(self, shape: tuple[int, int]) -> tuple[TileGrid, ...]:
        """Return the tiles of an image, for each scale.

        Parameters
        ----------
        shape : (int, int)
            (H, W) of the image.

        Raises
        ------
        ImageError
            When the image is smaller than a tile, at one of the scales.
        """
        return tuple(self._grid(self.scaled(shape, scale), scale) for scale in self.scales)

    def scaled(self, shape: tuple[int, int], scale: float) -> tuple[int, int]:
        """Return (H, W) of an image at a scale."""
        return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))

    def _grid(self, shape: tuple[int, int], scale: float) -> TileGrid:
        if shape[0] < self.tile[0] or shape[1] < self.tile[1]:
            at = "" if scale == 1.0 else f" at the scale {scale:g}"
            raise ImageError(
                f"the image has {shape[1]}×{shape[0]} pixels{at}, a tile {self.tile[1]}×{self.tile[0]}",
                allowed="images at least as large as a tile",
                hint="set tiling.tile to a smaller side, or leave the section tiling out",
            )
        tops, lefts = (self._starts(side, tile) for side, tile in zip(shape, self.tile))
        return TileGrid(shape, self.tile, tops, lefts)

    def _starts(self, side: int, tile: int) -> tuple[int, ...]:
        step = max(1, math.floor(tile * (1.0 - self.overlap)))
        count = 1 + math.ceil((side - tile) / step)
        return tuple(round(index * (side - tile) / max(1, count - 1)) for index in range(count))

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "tile": list(self.tile),
            "overlap": self.overlap,
            "scales": list(self.scales),
            "merge": self.merge,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tiling:
        """Return what :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ParameterError
            When it is none.
        """
        height, width = data["tile"]
        scales: Sequence[float] = data["scales"]
        return cls((int(height), int(width)), float(data["overlap"]), tuple(map(float, scales)), str(data["merge"]))
