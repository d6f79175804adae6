"""Images of anything, from a folder: what a student must not learn to describe."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.images import IMAGE_SUFFIXES, read_image
from pyimgano.core.resizing import resize_image

__all__ = ["PenaltyImages"]

GREY = 0.3


class PenaltyImages:
    """Draws crops of photographs (ImageNet's, for instance) of any size, below a folder of any structure.

    As in EfficientAD: resized to twice the size that the network sees, without regard to their proportions; the middle
    of that, of half its sides; grey with probability 0.3.

    Parameters
    ----------
    folder : str
        Looked into when the first image is drawn, not before.
    size : (int, int)
        (height, width) of the crops.
    """

    def __init__(self, folder: str, size: tuple[int, int]) -> None:
        self.folder = Path(folder).expanduser()
        self.size = size

    @cached_property
    def paths(self) -> list[Path]:
        """The files, sorted.

        Raises
        ------
        ParameterError
            When the folder holds no image.
        """
        found = sorted(path for path in self.folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise ParameterError(
                f"imagenet_dir = {str(self.folder)!r} holds no image",
                where="imagenet_dir",
                allowed=f"a folder with {', '.join(sorted(IMAGE_SUFFIXES))} in it or below it, or null for no penalty",
            )
        return found

    def draw(self, chance: np.random.Generator, count: int) -> np.ndarray:
        """Return (count, height, width, 3) uint8 RGB; the same draw from the same generator and folder.

        Raises
        ------
        ImageError
            When a file cannot be read; it names the file.
        """
        return np.stack([self._crop(chance) for _ in range(count)])

    def _crop(self, chance: np.random.Generator) -> np.ndarray:
        import cv2

        place, grey = int(chance.integers(len(self.paths))), chance.random() < GREY
        height, width = self.size
        whole = resize_image(read_image(self.paths[place]), (2 * height, 2 * width))
        top, left = height // 2, width // 2
        crop = whole[top : top + height, left : left + width]
        if grey:
            crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return np.ascontiguousarray(crop)
