"""One anomaly map from those of overlapping tiles, at the tiles' own resolution."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pyimgano.workbench.tiling.plan import TileGrid

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MapMerge"]


class MapMerge:
    """Puts the maps of a grid's tiles together as they come.

    The merged map has the resolution of the tiles' maps, not that of the image, so that its size is bounded by what the
    model computes: 8192 × 8192 pixels in tiles of 512 whose maps have 224 pixels give 3584 × 3584 values. Between the
    pixels of a tile's map it is interpolated bilinearly. With ``"hann"`` the weight of a tile's pixel is the product of
    ``sin²(π (i + ½) / n)`` over both axes; weights are products, so their sum over all tiles is one of two vectors.

    Parameters
    ----------
    grid : TileGrid
    shape : (int, int)
        (h, w) of a tile's map.
    merge : {"hann", "max"}
    """

    def __init__(self, grid: TileGrid, shape: tuple[int, int], *, merge: str) -> None:
        import numpy as np

        self._merge = merge
        self._shape = shape
        sides = [max(1, round(side * part / tile)) for side, part, tile in zip(grid.shape, shape, grid.tile)]
        # Per axis and tile: the stretch of the merged map that the tile covers, and where its pixels lie in the tile.
        self._rows, self._columns = (
            [_place(start, side, total, tile, part) for start in starts]
            for starts, side, total, tile, part in zip((grid.tops, grid.lefts), grid.shape, sides, grid.tile, shape)
        )
        self._columns_of = len(grid.lefts)
        self._values = np.full(sides, -np.inf if merge == "max" else 0.0, dtype=np.float32)

    def add(self, index: int, tile_map: np.ndarray) -> None:
        """Add the map, (h, w) float32, of the tile ``index`` of the grid."""
        import numpy as np

        row, column = divmod(index, self._columns_of)
        rows, columns = self._rows[row], self._columns[column]
        below = tile_map[rows.below] * rows.of_below[:, None] + tile_map[rows.above] * rows.of_above[:, None]
        part = below[:, columns.below] * columns.of_below + below[:, columns.above] * columns.of_above
        there = self._values[rows.first : rows.first + len(part), columns.first : columns.first + part.shape[1]]
        if self._merge == "max":
            np.maximum(there, part, out=there)
        else:
            part *= rows.weight[:, None]
            part *= columns.weight
            there += part

    def finish(self) -> np.ndarray:
        """Return the merged map, (H', W') float32; all tiles must have been added."""
        if self._merge == "hann":
            self._values /= _total(self._rows, self._values.shape[0])[:, None]
            self._values /= _total(self._columns, self._values.shape[1])
        return self._values


class _Place:
    """Where a tile lies along one axis of the merged map."""

    def __init__(self, first: int, position: np.ndarray, part: int) -> None:
        import numpy as np

        clipped = np.clip(position, 0.0, part - 1.0)
        self.first = first
        self.below = np.floor(clipped).astype(np.intp)
        self.above = np.minimum(self.below + 1, part - 1)
        self.of_above = (clipped - self.below).astype(np.float32)
        self.of_below = np.float32(1.0) - self.of_above
        self.weight = (np.sin(np.pi * (position + 0.5) / part) ** 2).astype(np.float32)


@lru_cache(maxsize=4096)
def _place(start: int, side: int, total: int, tile: int, part: int) -> _Place:
    """Return where a tile that begins at ``start`` of ``side`` pixels lies among ``total`` values of the merged map."""
    import numpy as np

    per_value = side / total  # pixels of the image per value of the merged map
    centres = (np.arange(total) + 0.5) * per_value
    inside = np.flatnonzero((centres > start) & (centres < start + tile))
    position = (centres[inside] - start) * (part / tile) - 0.5
    return _Place(int(inside[0]), position, part)


def _total(places: list[_Place], size: int) -> np.ndarray:
    import numpy as np

    total = np.zeros(size)
    for place in places:
        total[place.first : place.first + len(place.weight)] += place.weight
    return total.astype(np.float32)
