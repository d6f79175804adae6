"""Where a defect lies: a small window of opacity, and its place in the image."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Footprint", "bounds_of"]

TRIES = 16
"""Places that are looked at for one at which a defect lies wholly inside a region."""


def bounds_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of the box around what is True; empty slices where nothing is."""
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Where a defect lies.

    Attributes
    ----------
    opacity : ndarray, (h, w) float32
        In [0, 1]; the image changes where it is above 0.
    top, left : int
        Place of the window in the image.
    content : ndarray, (h, w, 3) uint8, optional
        What a kind that pastes brings along.
    """

    opacity: np.ndarray
    top: int
    left: int
    content: Optional[np.ndarray] = None

    @property
    def mask(self) -> np.ndarray:
        """(h, w) bool: where the opacity is at least a half."""
        inside: np.ndarray = self.opacity >= 0.5
        return inside

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns in the image."""
        height, width = self.opacity.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @classmethod
    def of_whole(cls, opacity: np.ndarray) -> Footprint:
        """Return the window around what is above 0 of a whole image's opacity."""
        rows, columns = bounds_of(opacity > 0.0)
        return cls(opacity[rows, columns], rows.start, columns.start)

    @classmethod
    def somewhere(
        cls,
        opacity: np.ndarray,
        shape: tuple[int, int],
        rng: np.random.Generator,
        *,
        content: Optional[np.ndarray] = None,
    ) -> Footprint:
        """Return a window at a random place of an image of (H, W) ``shape``, wholly inside where it fits."""
        corner = []
        for side, length in zip(opacity.shape, shape):
            room = length - side
            corner.append(int(rng.integers(min(room, 0), max(room, 0), endpoint=True)))
        return cls(opacity, corner[0], corner[1], content).clipped(shape)

    def clipped(self, shape: tuple[int, int]) -> Footprint:
        """Return what of it lies inside an image of (H, W) ``shape``."""
        height, width = self.opacity.shape
        rows = slice(max(0, -self.top), max(0, min(height, shape[0] - self.top)))
        columns = slice(max(0, -self.left), max(0, min(width, shape[1] - self.left)))
        if (rows, columns) == (slice(0, height), slice(0, width)):
            return self
        content = None if self.content is None else self.content[rows, columns]
        return Footprint(self.opacity[rows, columns], self.top + rows.start, self.left + columns.start, content)

    def within(self, region: np.ndarray) -> Footprint:
        """Return what of it lies inside a region, (H, W) bool of the image."""
        clipped = self.clipped((region.shape[0], region.shape[1]))
        return dataclasses.replace(clipped, opacity=clipped.opacity * region[clipped.window])

    def moved_into(self, region: np.ndarray, rng: np.random.Generator) -> Footprint:
        """Return it where it lies if its mask lies inside the region, else at a place inside, cut off at its border.

        The mask is not empty where neither the region nor this mask is.

        Parameters
        ----------
        region : ndarray, (H, W) bool
            Of the image; not empty.
        rng : Generator
            Draws the places, of which the one where most of the mask lies inside is taken.
        """
        import numpy as np

        whole = int(self.mask.sum())
        best = self.within(region)
        covered = int(best.mask.sum())
        if covered == whole:
            return best
        allowed = np.flatnonzero(region)
        row, column = self._middle()
        best, covered = best, 0  # one that happens to touch the region is no better than the first place inside
        for _ in range(TRIES):
            target = int(allowed[int(rng.integers(allowed.size))])
            there = divmod(target, region.shape[1])
            moved = dataclasses.replace(self, top=there[0] - row, left=there[1] - column).within(region)
            found = int(moved.mask.sum())
            if found > covered:
                best, covered = moved, found
            if covered == whole:
                break
        return best

    def _middle(self) -> tuple[int, int]:
        """Return the pixel of the mask that is nearest to its centre."""
        import numpy as np

        rows, columns = np.nonzero(self.mask)
        nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
        return int(rows[nearest]), int(columns[nearest])
