"""Drifts of the light from place to place: uneven lamps, shadows, reflections."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from pyimgano.workbench.augment.augmentation import Change
from pyimgano.workbench.augment.fields import across, side_of, smooth_field, spot
from pyimgano.workbench.augment.values import ENCODING, lit, multiplied

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Glare", "LightGradient", "Shadow"]


class LightGradient(Change):
    """Light that falls off across the image: a lamp that was moved, or one of two that aged.

    The exposure rises evenly from one side to the other, in a direction drawn by lot; in the middle it stays.

    Parameters
    ----------
    severity : int
        Difference between the two sides: 0.4, 0.8, 1.3, 1.9 or 2.7 stops (EV).
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"stops": (0.4, 0.8, 1.3, 1.9, 2.7)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        slope = across(image.shape, rng.uniform(0.0, 2.0 * np.pi))
        return multiplied(image, np.exp2(slope * np.float32(self._level("stops") / ENCODING)))


class Shadow(Change):
    """A shadow with a soft edge over a part of the image: of a gripper, a frame, a person.

    Its edge is straight or slightly wavy, in a direction drawn by lot; it covers 25 to 60 % of the way across, and its
    penumbra is 3 to 15 % of that wide.

    Parameters
    ----------
    severity : int
        Light that the shadow takes: 15, 30, 45, 60 or 75 %.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"light in %": (15.0, 30.0, 45.0, 60.0, 75.0)})

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        place = across(image.shape, rng.uniform(0.0, 2.0 * np.pi))
        place += np.float32(rng.uniform(0.0, 0.03)) * smooth_field(image.shape, rng, cells=3)
        edge, penumbra = rng.uniform(-0.25, 0.1), rng.uniform(0.03, 0.15)
        cover = np.clip((edge - place) / np.float32(penumbra) + 0.5, 0.0, 1.0)
        cover = cover * cover * (3.0 - 2.0 * cover)
        return multiplied(image, (1.0 - cover * np.float32(self._level("light in %") / 100.0)) ** (1.0 / ENCODING))


class Glare(Change):
    """Specular reflections: one to three spots whose light is added, saturated in the middle, fading to the rim.

    Each is an ellipse; place, direction and proportions are drawn by lot.

    Parameters
    ----------
    severity : int
        Radius of the greatest spot: 6, 9, 13, 18 or 24 % of the shorter side; light in its middle: 0.5, 0.9, 1.5, 2.2
        or 3 times that of white.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType(
        {"radius in %": (6.0, 9.0, 13.0, 18.0, 24.0), "times white": (0.5, 0.9, 1.5, 2.2, 3.0)}
    )

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        height, width = image.shape[:2]
        radius = self._level("radius in %") / 100.0 * side_of(image.shape)
        light = np.zeros((height, width), dtype=np.float32)
        for number in range(int(rng.integers(1, 4))):
            size = radius * (1.0 if number == 0 else rng.uniform(0.3, 0.7))
            centre = (rng.uniform(0.1, 0.9) * (height - 1), rng.uniform(0.1, 0.9) * (width - 1))
            radii = (size * rng.uniform(1.0, 1.6), size / rng.uniform(1.0, 1.6))
            halo = spot(image.shape, centre, radii, rng.uniform(0.0, np.pi), core=0.0)
            np.maximum(light, halo * halo, out=light)
        return lit(image, light * np.float32(self._level("times white")))
