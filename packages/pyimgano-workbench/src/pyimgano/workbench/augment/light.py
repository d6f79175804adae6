"""Drifts of the light as a whole: how much there is of it, its colour, its flicker, and how it becomes values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from pyimgano.workbench.augment.augmentation import Change
from pyimgano.workbench.augment.fields import sign
from pyimgano.workbench.augment.values import ENCODING, by_table, multiplied, stops

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Exposure", "Flicker", "Gamma", "WhiteBalance"]


class Exposure(Change):
    """More or less light on the sensor, by lot: a lamp that ages or was changed, another aperture or exposure time.

    The light is multiplied, so that highlights saturate and shadows sink; see
    :mod:`pyimgano.workbench.augment.values` for what is assumed of the camera.

    Parameters
    ----------
    severity : int
        0.25, 0.5, 0.8, 1.2 or 1.7 stops (EV) up or down.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"stops": (0.25, 0.5, 0.8, 1.2, 1.7)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        return by_table(image, np.arange(256.0) * stops(sign(rng) * self._level("stops")))


class Gamma(Change):
    """Another tone curve: black and white stay, the greys between become lighter or darker by lot.

    Parameters
    ----------
    severity : int
        Exponent of the values in [0, 1]: 1.12, 1.25, 1.45, 1.7 or 2.1, or one over it.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"exponent": (1.12, 1.25, 1.45, 1.7, 2.1)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        return by_table(image, 255.0 * (np.arange(256.0) / 255.0) ** (self._level("exponent") ** sign(rng)))


class WhiteBalance(Change):
    """Warmer or colder light, by lot: red is multiplied, blue divided, and a grey keeps its luminance (Rec. 709).

    It tints a grey image too; a monochrome camera has no white balance, so leave it out there.

    Parameters
    ----------
    severity : int
        Gain of red light, and one over it of blue light, or the other way round: 1.08, 1.18, 1.3, 1.45 or 1.7.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"gain": (1.08, 1.18, 1.3, 1.45, 1.7)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        gain = self._level("gain") ** sign(rng)
        gains = np.array([gain, 1.0, 1.0 / gain])
        gains /= gains @ [0.2126, 0.7152, 0.0722]
        return by_table(image, np.arange(256.0)[:, None] * gains ** (1.0 / ENCODING))


class Flicker(Change):
    """Horizontal bands of light and dark: a rolling shutter, or a line-scan camera, below lamps on alternating current.

    The light of each row is multiplied by ``1 + depth · sin``, with 2 to 7 periods over the image's height, by lot.

    Parameters
    ----------
    severity : int
        Depth of the modulation: 6, 12, 20, 32 or 50 % of the light.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"depth in %": (6.0, 12.0, 20.0, 32.0, 50.0)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        height, width = image.shape[:2]
        turns = rng.uniform(2.0, 7.0) * np.arange(height) / height + rng.uniform()
        light = 1.0 + self._level("depth in %") / 100.0 * np.sin(2.0 * np.pi * turns)
        return multiplied(image, np.repeat((light ** (1.0 / ENCODING))[:, None], width, axis=1))
