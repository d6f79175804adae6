"""The tiles of good images as a sequence of images that a model can be fitted on."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.batching import read_ahead, source_name
from pyimgano.core.errors import ImageError
from pyimgano.core.parameters import require
from pyimgano.core.seeding import generator
from pyimgano.workbench.tiling.plan import TileGrid, Tiling

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TrainingTiles"]

KEPT = 256 * 2**20
"""Bytes of decoded images that are kept, since neighbouring tiles come from the same one."""


class TrainingTiles(Sequence[Any]):
    """The tiles of all images, image by image, cut when they are asked for.

    Images are decoded once to learn their sizes, and again when their tiles are read, some hundred megabytes of them
    being kept. A model that reads images in a shuffled order makes large images be decoded many times.

    Parameters
    ----------
    images : sequence of ndarray, (H, W, 3) uint8
        May decode lazily.
    tiling : Tiling
    per_image : int, optional
        Tiles of each image, drawn by lot; None for all.
    seed : int
        Of the lots.

    Raises
    ------
    ImageError
        When an image is smaller than a tile, or cannot be read.
    """

    def __init__(self, images: Sequence[Any], tiling: Tiling, *, per_image: Optional[int], seed: int) -> None:
        self._images = images
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._grids: list[tuple[TileGrid, ...]] = []
        self._chosen: list[Optional[list[int]]] = []
        counts = []
        for index, shape in enumerate(read_ahead(lambda place: self._image(place).shape, len(images), ahead=2)):
            try:
                grids = tiling.grids((int(shape[0]), int(shape[1])))
            except ImageError as error:
                error.where = error.where or source_name(images, index)
                raise
            total = sum(map(len, grids))
            chosen = None
            if per_image is not None and per_image < total:
                drawn = generator(seed, "tiles", index).choice(total, per_image, replace=False)
                chosen = sorted(map(int, drawn))
            self._grids.append(grids)
            self._chosen.append(chosen)
            counts.append(total if chosen is None else len(chosen))
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        """Return the number of tiles."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: Any) -> Any:
        """Return one tile, (height, width, 3) uint8."""
        require(isinstance(index, int), "index", index, "a whole number")
        if not 0 <= index < len(self):
            raise IndexError(index)
        image = bisect.bisect_right(self._ends, index)
        tile = index - (self._ends[image - 1] if image else 0)
        chosen = self._chosen[image]
        if chosen is not None:
            tile = chosen[tile]
        for grid in self._grids[image]:
            if tile < len(grid):
                return grid.cut(grid.scaled(self._image(image)), tile).copy()
            tile -= len(grid)
        raise IndexError(index)

    def _image(self, index: int) -> np.ndarray:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        image: np.ndarray = self._images[index]
        with self._lock:
            self._kept[index] = image
            while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
        return image
