"""The pixels themselves, few of them: for aligned parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, grey_levels

__all__ = ["Pixels"]


@dataclass(frozen=True)
class Pixels(Descriptor):
    """The image reduced to a few grey pixels, for parts that lie in the same place in every image.

    With principal components and what they leave over, these are eigenfaces (Turk & Pentland, 1991).

    Parameters
    ----------
    size : int
        Side in pixels.
    normalize : bool
        Bring every image to mean 0 and standard deviation 1, so that its brightness and contrast do not count.
    """

    size: int = 32
    normalize: bool = True

    name = "pixels"

    def __post_init__(self) -> None:
        require(2 <= self.size <= 256, "size", self.size, "2 to 256 pixels", where="features 'pixels'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return self.size**2

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        from pyimgano.core.resizing import resize_image

        values = grey_levels(resize_image(image, (self.size, self.size))).astype(np.float64) / 255.0
        if self.normalize:
            values = (values - values.mean()) / max(float(values.std()), 1.0 / 255.0)
        return values.ravel().astype(np.float32)
