"""Drifts of the sensor and of what becomes of its values: noise, compression, rows read one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from pyimgano.core.errors import ImageError
from pyimgano.workbench.augment.augmentation import Change, Geometric, Move
from pyimgano.workbench.augment.fields import sign
from pyimgano.workbench.augment.geometry import by_matrix
from pyimgano.workbench.augment.values import is_grey

if TYPE_CHECKING:
    import numpy as np

__all__ = ["JPEG", "RollingShutter", "SensorNoise"]

READ_NOISE = 4.0
"""Standard deviation of the read noise in electrons, as of an industrial CMOS sensor."""


class SensorNoise(Change):
    """Shot and read noise of an image taken with less light and more gain.

    The linear camera model of EMVA 1288: a value ``v`` of 0 … 255 stands for ``n = v / 255 · N`` electrons, where white
    is ``N`` electrons. Their number varies by ``√n`` (shot noise; Poisson's distribution is taken as a normal one),
    reading them adds 4 electrons, and both are independent from pixel to pixel: the standard deviation of a value is
    ``255 / N · √(n + 4²)``. That is a camera whose values are proportional to the light; one with a gamma shows more
    noise in dark places. The noise of the image itself stays. The channels of a grey image get the same noise.

    Parameters
    ----------
    severity : int
        Electrons ``N`` at white: 4000, 1500, 600, 250 or 100.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType(
        {"electrons at white": (4000.0, 1500.0, 600.0, 250.0, 100.0)}
    )

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import cv2
        import numpy as np

        white = self._level("electrons at white")
        deviation = 255.0 / white * np.sqrt(np.arange(256.0) / 255.0 * white + READ_NOISE**2)
        grey = is_grey(image)
        values = np.ascontiguousarray(image[..., 0]) if grey else image
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        noise *= deviation.astype(np.float32)[values]
        noise += values
        noisy = np.clip(np.rint(noise, out=noise), 0, 255, out=noise).astype(np.uint8)
        return np.asarray(cv2.merge([noisy, noisy, noisy])).reshape(image.shape) if grey else noisy


class JPEG(Change):
    """Lossy compression by the camera or its driver: blocks of 8 × 8 pixels, ringing at edges, smeared colours.

    Nothing is drawn by lot. A grey image is compressed as one channel.

    Parameters
    ----------
    severity : int
        JPEG quality: 60, 35, 20, 12 or 6 of 100.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"quality": (60.0, 35.0, 20.0, 12.0, 6.0)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import cv2
        import numpy as np

        grey = is_grey(image)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(self._level("quality"))]
        ok, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., 0] if grey else image[..., ::-1]), quality)
        if not ok:
            raise ImageError(f"cannot encode shape {image.shape} as JPEG", allowed="sides of at most 65,500 pixels")
        decoded = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        return np.repeat(decoded[..., None], 3, axis=2) if grey else np.ascontiguousarray(decoded[..., ::-1])


class RollingShutter(Geometric):
    """Rows that were read one after the other while the part moved sideways: upright lines lean, by lot to either side.

    Parameters
    ----------
    severity : int
        How far the last row is displaced against the first: 1, 2, 4, 7 or 12 % of the image's width.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"lean in %": (1.0, 2.0, 4.0, 7.0, 12.0)})

    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        height, width = shape
        lean = sign(rng) * self._level("lean in %") / 100.0 * width / max(height - 1, 1)
        return by_matrix([[1.0, lean, -lean * (height - 1) / 2.0], [0.0, 1.0, 0.0]])
