"""The spectrum: how much of an image's contrast lies in each band of frequencies and directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side, grey_levels

__all__ = ["Spectrum"]

TRANSFORMS = ("fft", "dct")
SIZE = 128


@dataclass(frozen=True)
class Spectrum(Descriptor):
    """Logarithm of the power in bands of frequency, by direction; of the Fourier or the cosine transform.

    The grey image is brought to 128 × 128 pixels, its mean taken off and, before the Fourier transform, faded out
    towards the border (Hann), where a periodic image would jump. Bands are rings of equal width, up to the Nyquist
    frequency; sectors share half a turn (the Fourier transform) or a quarter (the cosine transform).

    Parameters
    ----------
    transform : {"fft", "dct"}
    bands : int
        Rings.
    sectors : int
        Directions.
    """

    transform: str = "fft"
    bands: int = 12
    sectors: int = 6

    name = "spectrum"

    def __post_init__(self) -> None:
        given = self.transform
        require(given in TRANSFORMS, "transform", given, ", ".join(TRANSFORMS), where="features 'spectrum'")
        require(1 <= self.bands <= 32, "bands", self.bands, "1 to 32", where="features 'spectrum'")
        require(1 <= self.sectors <= 16, "sectors", self.sectors, "1 to 16", where="features 'spectrum'")

    @property
    def dimension(self) -> int:
        """Number of features."""
        return self.bands * self.sectors

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        import cv2

        from pyimgano.core.resizing import resize_image

        check_side(image, 8, self.name)
        grey = grey_levels(resize_image(image, (SIZE, SIZE))).astype(np.float32) / 255.0
        grey -= grey.mean(dtype=np.float64)
        if self.transform == "fft":
            window = np.hanning(SIZE + 1)[:-1].astype(np.float32)
            power = np.abs(np.fft.fft2(grey * window[:, None] * window)) ** 2
        else:
            power = cv2.dct(grey).astype(np.float64) ** 2
        index, counts = _bands(self.transform, self.bands, self.sectors)
        sums = np.bincount(index, weights=power.ravel(), minlength=self.dimension + 1)[:-1]
        # A band without power, as of an image of one colour, has what rounding leaves: the constant covers it.
        return np.log(sums / np.maximum(counts, 1) + 1e-6).astype(np.float32)


@lru_cache(maxsize=16)
def _bands(transform: str, bands: int, sectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each coefficient's band (the last one: none), and how many each band has."""
    if transform == "fft":
        down, right = np.fft.fftfreq(SIZE)[:, None] * 2.0, np.fft.fftfreq(SIZE)[None] * 2.0
        turn = np.pi
    else:
        down, right = np.arange(SIZE)[:, None] / SIZE, np.arange(SIZE)[None] / SIZE
        turn = np.pi / 2.0
    radius = np.hypot(down, right)
    angle = np.arctan2(down, right)
    if transform == "fft":  # centred on the axes: what is horizontal stays in one sector
        angle = (angle + 0.5 * turn / sectors) % turn
    ring = np.ceil(radius * bands).astype(np.int64) - 1
    sector = np.minimum((angle * sectors / turn).astype(np.int64), sectors - 1)
    index = np.where((ring >= 0) & (ring < bands), ring * sectors + sector, bands * sectors).ravel()
    return index, np.bincount(index, minlength=bands * sectors + 1)[:-1]
