"""What a descriptor is: an image in, one vector out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyimgano.models.parallel import map_blocks

__all__ = ["Descriptor", "check_side", "grey_levels"]


class Descriptor(ABC):
    """Base of features that are computed of one image at a time, without deep learning.

    A subclass is a frozen dataclass whose fields are its parameters, checked when it is made. The number of its
    features does not depend on the size of the image.

    Attributes
    ----------
    name : str
        Of the component.
    version : int
        Raised with every change of what :meth:`describe` returns, so that no cache gives the features of before.
    """

    name: str
    version: int = 1

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of features."""

    @abstractmethod
    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            RGB.

        Returns
        -------
        ndarray, (dimension,) float32
        """

    def describe_batch(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of images, (N, dimension) float32, by all cores; a row depends on its image alone."""
        return np.stack(map_blocks(self.describe, batch))

    @property
    def facts(self) -> dict[str, Any]:
        """All that decides the features: JSON-friendly, part of the key of what is cached."""
        parameters = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}
        return {"name": self.name, "version": self.version, **parameters}


def grey_levels(image: np.ndarray) -> np.ndarray:
    """Return the luma of an RGB image: (H, W) uint8."""
    import cv2

    grey: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def check_side(image: np.ndarray, least: int, name: str) -> None:
    """Refuse an image with a side below ``least`` pixels."""
    from pyimgano.core.errors import ImageError

    if min(image.shape[:2]) < least:
        height, width = image.shape[:2]
        raise ImageError(
            f"{width} × {height} pixels are too few for the features {name!r}",
            allowed=f"sides of at least {least} pixels",
            hint="raise input_size",
        )
