"""What detectors that keep good images have in common: how far the good ones themselves differ from them, and where."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_whole
from pyimgano.models.image_sample import sample_images, some_images
from pyimgano.models.parallel import map_blocks
from pyimgano.models.pixel_detector import PixelDetector, smooth

__all__ = ["ReferenceDetector"]

_FLOOR = 0.05


class ReferenceDetector(PixelDetector, ABC):
    """Base of detectors that keep good images and compare every image with them.

    A subclass keeps images (:meth:`_keep`) and makes a map of differences from them (:meth:`_compare`). With
    ``standardize``, what is usual there is taken into account: after the choice every good image is compared with the
    kept ones, itself left out, and with the mean m and the standard deviation s of these maps, smoothed, at every
    position, ``map = (difference - m) / (s + s₀)``, which may be negative. So the edges of a part, which never fit
    exactly, do not drown a defect in its middle. s₀ is 5 % of the median of the good images' highest differences: where
    all of them agree, rounding would decide otherwise.

    Parameters
    ----------
    input_size, color, normalize, blur_sigma, map_sigma, top_fraction, batch_size
        See :class:`~pyimgano.models.pixel_detector.PixelDetector`.
    standardize : bool
        Whether the map is counted in standard deviations of the good images' differences; else it is the difference.
    max_images : int
        Of more images, so many are drawn; the others are not read.
    seed : int
        Of that draw.

    Attributes
    ----------
    map_mean_, map_scale_ : ndarray, (h, w) float32
        m and s + s₀; absent without ``standardize``.
    """

    standardize: bool
    max_images: int
    seed: int
    map_mean_: np.ndarray
    map_scale_: np.ndarray

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        super().validate()
        require(isinstance(self.standardize, bool), "standardize", self.standardize, "true or false")
        require(is_whole(self.max_images, 1), "max_images", self.max_images, "a whole number, at least 1")
        require(is_whole(self.seed, 0), "seed", self.seed, "a whole number, 0 or more")

    @abstractmethod
    def _keep(self, images: ImageBatches, places: np.ndarray) -> np.ndarray:
        """Keep some of the images at ``places``; return the places of those kept, in the order that they are kept."""

    @abstractmethod
    def _compare(self, image: np.ndarray, *, without: Optional[int] = None) -> np.ndarray:
        """Return how a prepared image differs from the kept ones, ``without`` one of them: (h, w), not smoothed."""

    def _fit(self, images: ImageBatches) -> None:
        places = sample_images(len(images), self.max_images, self.seed)
        kept = {int(place): index for index, place in enumerate(self._keep(images, places))}
        if self.standardize:
            among_kept = [kept.get(int(place)) for place in places]
            self._learn_usual_differences(some_images(images, places), among_kept, len(kept))

    def _learn_usual_differences(self, images: ImageBatches, among_kept: list[Optional[int]], kept: int) -> None:
        """Set m and s + s₀; ``among_kept`` says which kept image each one is, None for the others."""
        count, mean, squares = 0, np.zeros(1), np.zeros(1)
        highest: list[float] = []
        which = iter(among_kept)
        shape = (1, 1)
        for batch in images:
            pairs = [(image, next(which)) for image in batch]
            shape = pairs[0][0].shape[:2]
            # The only one that is kept cannot be compared with the others.
            pairs = [pair for pair in pairs if kept > 1 or pair[1] is None]
            for map_ in map_blocks(lambda pair: self._differences(pair[0], pair[1]), pairs):
                count += 1
                offset = map_.astype(np.float64) - mean
                mean = mean + offset / count
                squares = squares + offset * (map_ - mean)
                highest.append(float(map_.max()))
        floor = max(_FLOOR * float(np.median(highest)), 1e-6) if highest else 1.0
        spread = np.sqrt(squares / max(count, 1))
        self.map_mean_ = np.broadcast_to(mean, shape).astype(np.float32)
        self.map_scale_ = np.broadcast_to(spread + floor, shape).astype(np.float32)

    def _differences(self, image: np.ndarray, without: Optional[int] = None) -> np.ndarray:
        return smooth(self._compare(image, without=without).astype(np.float32), self.map_sigma)

    def _map(self, image: np.ndarray) -> np.ndarray:
        differences = self._differences(image)
        return (differences - self.map_mean_) / self.map_scale_ if self.standardize else differences

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return ({"map_mean": self.map_mean_, "map_scale": self.map_scale_} if self.standardize else {}), {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        if self.standardize:
            self.map_mean_, self.map_scale_ = arrays["map_mean"], arrays["map_scale"]
