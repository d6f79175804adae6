"""What detectors that compare pixels of aligned images have in common: what is compared, and how a map is scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Optional, Union

import numpy as np

from pyimgano.core.detector import BaseDetector
from pyimgano.core.parameters import require
from pyimgano.core.resizing import resize_image
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.parallel import map_blocks
from pyimgano.models.resizing import check_size

__all__ = ["COLORS", "PixelDetector", "smooth"]

COLORS = ("rgb", "grey")


class PixelDetector(BaseDetector, ABC):
    """Base of detectors that compare an image with good ones pixel by pixel, at one size.

    A subclass has the parameters below beside its own, and gives :meth:`_map`. Images are scored one by one, each
    by one thread: a score depends neither on the batch nor on the number of threads.

    Parameters
    ----------
    input_size : int or (int, int)
        Side, or (height, width), at which pixels are compared.
    color : {"rgb", "grey"}
        Whether colour counts.
    normalize : bool
        Bring every image to mean 0 and standard deviation 1 per channel first, so that brightness and contrast of the
        whole image do not count.
    blur_sigma : float
        Standard deviation, in pixels of ``input_size``, of a Gaussian blur of the images. 0: none.
    map_sigma : float
        Standard deviation of a Gaussian blur of the map. 0: none.
    top_fraction : float
        The image score is the mean of this fraction of the map's highest values; 0: its maximum.
    batch_size : int
    """

    input_size: Union[int, Sequence[int]]
    color: str
    normalize: bool
    blur_sigma: float
    map_sigma: float
    top_fraction: float

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        check_size(self.input_size, minimum=8)
        require(self.color in COLORS, "color", self.color, ", ".join(COLORS))
        for name in ("blur_sigma", "map_sigma"):
            value = getattr(self, name)
            require(is_real(value) and value >= 0.0, name, value, "0 or more pixels")
        valid = is_real(self.top_fraction) and 0.0 <= self.top_fraction <= 1.0
        require(valid, "top_fraction", self.top_fraction, "a fraction in [0, 1]")
        require(is_whole(self.batch_size, 1), "batch_size", self.batch_size, "a whole number, at least 1")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image to ``input_size``."""
        return resize_image(image, check_size(self.input_size, minimum=8))

    def _values(self, image: np.ndarray) -> np.ndarray:
        """Return what is compared of a prepared image: (h, w, C) float32."""
        import cv2

        values = image if self.color == "rgb" else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        if self.normalize:
            mean, spread = (part.ravel().astype(np.float32) for part in cv2.meanStdDev(values))
            # An image of one colour has no contrast to bring to 1: a grey level counts as what it is.
            spread = np.maximum(spread, np.float32(1.0))
            # Row by row: NumPy is ten times as slow where what repeats has the length of a pixel.
            width = values.shape[1]
            rows = values.reshape(len(values), -1).astype(np.float32)
            rows -= np.tile(mean, width)
            rows /= np.tile(spread, width)
            values = rows.reshape(values.shape)
        else:
            values = values.astype(np.float32) / 255.0
        blurred = smooth(values, self.blur_sigma)
        return blurred.reshape(values.shape)

    @abstractmethod
    def _map(self, image: np.ndarray) -> np.ndarray:
        """Return the anomaly map of a prepared image, smoothed: (h, w) float32."""

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        found = np.stack(map_blocks(self._map, batch))
        scores = np.array([self._score(one) for one in found])
        return scores, found if maps else None

    def _score(self, one: np.ndarray) -> float:
        count = self._highest(one.size)
        if count <= 1:
            return float(one.max())
        return float(np.sort(np.partition(one.ravel(), one.size - count)[one.size - count :]).mean(dtype=np.float64))

    def _highest(self, size: int) -> int:
        """Return how many of a map's values the score is the mean of; up to 1 it is the maximum."""
        return round(self.top_fraction * size)


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Return (h, w) or (h, w, C) float32 blurred by a Gaussian, mirrored at the borders; as it is where sigma is 0."""
    import cv2

    if sigma == 0.0:
        return values
    blurred: np.ndarray = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return blurred
