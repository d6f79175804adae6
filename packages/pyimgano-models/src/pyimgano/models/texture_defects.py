"""Defects for images without any: regions of Perlin noise in which another texture shines through."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

import numpy as np

from pyimgano.core.batching import read_ahead
from pyimgano.core.errors import ParameterError
from pyimgano.core.images import IMAGE_SUFFIXES, read_image
from pyimgano.core.resizing import resize_image
from pyimgano.models.perlin import perlin_mask
from pyimgano.models.rotation import rotate
from pyimgano.models.texture_augmentation import augment_texture

__all__ = ["DefectiveBatch", "TextureDefects"]


@dataclass(frozen=True)
class DefectiveBatch:
    """Images, and what is to be blended into them.

    A defective image is ``(1 - opacity) good + opacity texture``; it is good where the opacity is 0.

    Attributes
    ----------
    good : ndarray, (N, H, W, 3) uint8
        The images without defects.
    texture : ndarray, (N, H, W, 3) uint8
        What shines through.
    opacity : ndarray, (N, H, W) float32
        In [0, 1].
    """

    good: np.ndarray
    texture: np.ndarray
    opacity: np.ndarray


class TextureDefects:
    """Draws the defects of DRÆM (Zavrtanik et al., ICCV 2021, section 3.2).

    Half of the images stay good. The others get, where Perlin noise of a random scale, turned by up to 90°, exceeds
    0.5 (nowhere, by chance, in some), a texture from the folder after three random changes
    (:func:`pyimgano.models.texture_augmentation.augment_texture`), blended by a random opacity (equation 5).

    Parameters
    ----------
    sources : path-like, optional
        Folder of images of textures, in it or below; its files are looked for when the first is needed. Without it, an
        image's texture is the image itself, shifted cyclically and mirrored by lot, then changed the same way.
    opacity : (float, float)
        Range of the opacity, ``β`` of the paper.
    rotation : float
        Three in ten images, with or without defects, are first turned by up to so many degrees either way; black comes
        in from outside. 0: none.
    """

    def __init__(
        self,
        sources: Optional[Union[str, os.PathLike[str]]] = None,
        *,
        opacity: tuple[float, float] = (0.1, 1.0),
        rotation: float = 45.0,
    ) -> None:
        self.sources = sources
        self.opacity = opacity
        self.rotation = rotation
        self._files: Optional[list[Path]] = None

    def files(self) -> list[Path]:
        """Return the images of the folder, sorted by path; none without a folder.

        Raises
        ------
        ParameterError
            When there is no such folder, or no image in it.
        """
        if self._files is None:
            self._files = [] if self.sources is None else _images_below(Path(self.sources))
        return self._files

    def __call__(self, images: Sequence[np.ndarray], chance: np.random.Generator) -> DefectiveBatch:
        """Draw the defects of some images.

        Parameters
        ----------
        images : sequence of ndarray, (H, W, 3) uint8
            Good RGB images of the same size.
        chance : Generator
            Draws one seed per image, so that an image's defects do not depend on the threads.

        Raises
        ------
        ImageError
            When a texture's file cannot be read; it names the file.
        ParameterError
            See :meth:`files`.
        """
        self.files()
        seeds = chance.integers(2**63, size=len(images))

        def draw(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return self._one(images[index], np.random.default_rng(int(seeds[index])))

        drawn = list(read_ahead(draw, len(images), ahead=len(images)))
        return DefectiveBatch(*(np.stack(arrays) for arrays in zip(*drawn)))

    def _one(self, image: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        turned, angle = chance.random() < 0.3, chance.uniform(-self.rotation, self.rotation)
        if turned and self.rotation:
            image = rotate(image, float(angle))
        opacity = np.zeros(image.shape[:2], dtype=np.float32)
        if chance.random() < 0.5:
            return image, image, opacity
        mask = perlin_mask((image.shape[0], image.shape[1]), chance, rotation=90.0)
        opacity[mask] = chance.uniform(*self.opacity)
        texture = augment_texture(self._texture(image, chance), chance)
        return image, texture, opacity

    def _texture(self, image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        files = self.files()
        if files:
            return resize_image(read_image(files[int(chance.integers(len(files)))]), (height, width))
        shift = (int(chance.integers(height)), int(chance.integers(width)))
        down, across = (1 - 2 * int(side) for side in chance.integers(2, size=2))
        return np.ascontiguousarray(np.roll(image, shift, axis=(0, 1))[::down, ::across])


def _images_below(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ParameterError(
            f"there is no image in {folder}" if folder.is_dir() else f"there is no folder {folder}",
            where="anomaly_source_dir",
            allowed="a folder of images of textures, such as that of DTD; or leave the parameter out",
        )
    return found
