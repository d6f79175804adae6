"""The median and the median absolute deviation of every pixel: a Gaussian that a few bad images do not move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.exported_pixels import ExportedPixels
from pyimgano.models.image_sample import sample_images, some_images
from pyimgano.models.parallel import map_blocks, split_blocks
from pyimgano.models.pixel_detector import smooth

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MAD_TO_SIGMA", "PixelMedian"]

MAD_TO_SIGMA = 1.4826022185056018
"""1 / Φ⁻¹(3/4): a normal distribution's standard deviation in units of its median absolute deviation."""

_ROWS = 8
"""Rows of pixels whose medians are taken at once."""


class PixelMedian(ExportedPixels):
    """Median and median absolute deviation (MAD) of every pixel; the map is the robust distance from the median.

    The robust form of ``pixel-gaussian``: ``m = median xᵢ``, ``s = 1.4826 median |xᵢ - m|`` (Hampel, *The influence
    curve and its role in robust estimation*, JASA 1974; the factor makes ``s`` the standard deviation of normal
    values), and the distance ``|x - m| / √(s² + epsilon)``. Both hold as long as fewer than half of the images are bad
    at a pixel (Rousseeuw & Croux, *Alternatives to the median absolute deviation*, JASA 1993). Take it when defective
    images may be among those to fit on, or when good ones sometimes have dust or glare. Several channels are taken as
    independent: the map is the root mean square of their distances.

    Medians need all values at once: ``max_images`` images are kept while fitting, each ``4 h w C`` bytes (196 kB with
    the defaults). What is learned does not grow with them.

    The defaults are those of ``pixel-gaussian``. On clean images it is the less efficient one: its spreads come from
    the middle half of the values, and where these are nearly one, ordinary outer ones already count as far away.

    Parameters
    ----------
    input_size, color, normalize, map_sigma, top_fraction, batch_size
        See :class:`~pyimgano.models.pixel_detector.PixelDetector`.
    blur_sigma : float
        Standard deviation, in pixels of ``input_size``, of a Gaussian blur of the images; forgives small shifts.
    epsilon : float
        Added to the squared spreads: a pixel that is the same in more than half of the images has the MAD 0. In units
        of the squared standard deviation of a whole image when ``normalize``, else of squared grey levels / 255².
    max_images : int
        Of more images, so many are drawn; the others are not read.
    seed : int
        Of that draw.

    Attributes
    ----------
    median_, spread_ : ndarray, (h, w, C) float32
        ``m`` and ``s``.
    """

    def __init__(
        self,
        input_size: Union[int, Sequence[int]] = 128,
        color: str = "rgb",
        normalize: bool = True,
        blur_sigma: float = 1.0,
        epsilon: float = 1e-3,
        map_sigma: float = 1.0,
        top_fraction: float = 0.0,
        max_images: int = 1000,
        seed: int = 0,
        batch_size: int = 8,
    ) -> None:
        self.input_size = input_size
        self.color = color
        self.normalize = normalize
        self.blur_sigma = blur_sigma
        self.epsilon = epsilon
        self.map_sigma = map_sigma
        self.top_fraction = top_fraction
        self.max_images = max_images
        self.seed = seed
        self.batch_size = batch_size

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        super().validate()
        require(is_real(self.epsilon) and self.epsilon > 0.0, "epsilon", self.epsilon, "above 0")
        require(is_whole(self.max_images, 1), "max_images", self.max_images, "a whole number, at least 1")
        require(is_whole(self.seed, 0), "seed", self.seed, "a whole number, 0 or more")

    def _fit(self, images: ImageBatches) -> None:
        places = sample_images(len(images), self.max_images, self.seed)
        stack: np.ndarray = np.empty(0)
        for index, image in enumerate(some_images(images, places).images()):
            values = self._values(image)
            if index == 0:
                stack = np.empty((len(places), *values.shape), dtype=np.float32)
            stack[index] = values
        self.median_ = np.empty(stack.shape[1:], dtype=np.float32)
        self.spread_ = np.empty(stack.shape[1:], dtype=np.float32)

        def work(rows: slice) -> None:
            self.median_[rows] = np.median(stack[:, rows], axis=0)
            offsets = np.abs(stack[:, rows] - self.median_[rows])
            self.spread_[rows] = MAD_TO_SIGMA * np.median(offsets, axis=0, overwrite_input=True)

        map_blocks(work, split_blocks(stack.shape[1], most=_ROWS))

    def _map(self, image: np.ndarray) -> np.ndarray:
        spread = self.spread_.astype(np.float64)
        squared = (self._values(image).astype(np.float64) - self.median_) ** 2 / (spread**2 + self.epsilon)
        return smooth(np.sqrt(squared.mean(axis=2)).astype(np.float32), self.map_sigma)

    def _graph_compare(self) -> nn.Module:
        from pyimgano.models.graphs.pixels import GaussianDistance

        return GaussianDistance(self.median_, self.spread_.astype(np.float64) ** 2 + self.epsilon)

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"median": self.median_, "spread": self.spread_}, {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.median_ = arrays["median"]
        self.spread_ = arrays["spread"]
