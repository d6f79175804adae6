"""A bank of Gabor filters: how strongly an image oscillates, by frequency and direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side, grey_levels

__all__ = ["GaborBank", "gabor_kernel"]


@dataclass(frozen=True)
class GaborBank(Descriptor):
    """Mean and standard deviation of the magnitudes of Gabor responses (Manjunath & Ma, 1996).

    For low frequencies the image is halved, once or several times, as long as the wave keeps four pixels: kernels stay
    small, and what is left out lies beyond the filter's band.

    Parameters
    ----------
    frequencies : tuple of float
        Cycles per pixel, in (0, 0.5).
    orientations : int
        Directions in half a turn.
    bandwidth : float
        Of a filter, in octaves.
    """

    frequencies: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    orientations: int = 6
    bandwidth: float = 1.0

    name = "gabor"

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequencies", tuple(self.frequencies))
        good = len(self.frequencies) > 0 and all(0.01 <= f < 0.5 for f in self.frequencies)
        require(good, "frequencies", self.frequencies, "cycles per pixel from 0.01 to 0.5", where="features 'gabor'")
        require(1 <= self.orientations <= 24, "orientations", self.orientations, "1 to 24", where="features 'gabor'")
        require(0.2 <= self.bandwidth <= 3.0, "bandwidth", self.bandwidth, "0.2 to 3 octaves", where="features 'gabor'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return 2 * len(self.frequencies) * self.orientations

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        import cv2

        check_side(image, 8, self.name)
        full = grey_levels(image).astype(np.float32) / 255.0
        features = []
        for frequency in self.frequencies:
            grey, frequency = _halved(full, frequency)
            for index in range(self.orientations):
                kernel = gabor_kernel(frequency, math.pi * index / self.orientations, self.bandwidth)
                real = cv2.filter2D(grey, cv2.CV_32F, kernel[0], borderType=cv2.BORDER_REFLECT)
                imaginary = cv2.filter2D(grey, cv2.CV_32F, kernel[1], borderType=cv2.BORDER_REFLECT)
                magnitude = np.hypot(real, imaginary)
                features += [magnitude.mean(dtype=np.float64), magnitude.std(dtype=np.float64)]
        return np.array(features, dtype=np.float32)


def _halved(grey: np.ndarray, frequency: float) -> tuple[np.ndarray, float]:
    """Return the image at the scale that a filter runs at, and its frequency there."""
    import cv2

    while frequency <= 0.125 and min(grey.shape) >= 16:
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
        frequency *= 2.0
    return grey, frequency


@lru_cache(maxsize=256)
def gabor_kernel(frequency: float, theta: float, bandwidth: float) -> np.ndarray:
    """Return the real and imaginary part of a complex Gabor kernel, (2, k, k) float32.

    A Gaussian of standard deviation ``sqrt(ln 2 / 2) / π · (2^b + 1) / (2^b - 1) / frequency`` whose half-response
    bandwidth is ``b`` octaves, times a complex wave along ``theta`` (radians, from the x axis), cut at three standard
    deviations. The real part has its mean taken off, so that brightness gives no response.
    """
    octave = 2.0**bandwidth
    sigma = math.sqrt(math.log(2.0) / 2.0) / math.pi * (octave + 1.0) / (octave - 1.0) / frequency
    radius = max(1, math.ceil(3.0 * sigma))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    envelope = np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    envelope /= envelope.sum()
    phase = 2.0 * math.pi * frequency * (x * math.cos(theta) + y * math.sin(theta))
    real = envelope * np.cos(phase)
    real -= envelope * real.sum()
    return np.stack([real, envelope * np.sin(phase)]).astype(np.float32)
