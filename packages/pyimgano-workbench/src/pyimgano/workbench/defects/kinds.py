"""The kinds of defect. Each is made with its ranges and called with an image and a source of chance."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Optional, Protocol

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require
from pyimgano.workbench.defects.shapes import blob, curve

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Defect", "Foreign", "Scratch", "Stain"]

Range = tuple[float, float]


class Defect(Protocol):
    """What a component of kind ``defects`` makes."""

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, donor: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put one defect on an image.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            RGB; not changed.
        rng : Generator
            Source of chance.
        donor : ndarray, (h, w, 3) uint8, optional
            Another image, for the kinds that paste.

        Returns
        -------
        image : ndarray, (H, W, 3) uint8
            A changed copy.
        mask : ndarray, (H, W) bool
            Where it was changed by at least half of the defect's strength; never empty.
        """


def _check_range(name: str, value: Range, low: float, high: float) -> None:
    ordered = len(value) == 2 and low <= value[0] <= value[1] <= high
    require(ordered, name, value, f"two numbers from {low:g} to {high:g}, the smaller first")


def _blend(image: np.ndarray, other: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    import numpy as np

    mixed = image + (other - image.astype(np.float32)) * opacity[..., None]
    return np.asarray(np.clip(np.rint(mixed), 0, 255), dtype=np.uint8)


@dataclasses.dataclass(frozen=True)
class Scratch:
    """A thin curved line, lighter or darker than the surface.

    Parameters
    ----------
    length : (float, float)
        Distance between the ends, as a fraction of the image's shorter side.
    width : (float, float)
        Width, as a fraction of the shorter side (at least 1.5 pixels are drawn).
    contrast : (float, float)
        Change of brightness in grey levels of 255; the sign is drawn by lot.
    """

    length: Range = (0.35, 0.75)
    width: Range = (0.025, 0.045)
    contrast: Range = (60.0, 100.0)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, donor: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put one scratch on ``image`` (see :class:`Defect`)."""
        import numpy as np

        _check_range("length", self.length, 0.01, 1.0)
        _check_range("width", self.width, 0.0, 0.5)
        _check_range("contrast", self.contrast, 1.0, 255.0)
        shape = (image.shape[0], image.shape[1])
        width = max(1.5, rng.uniform(*self.width) * min(shape))
        opacity = curve(shape, rng, length=self.length, width=width)
        # Towards the side with room: a light scratch on a white surface would not be there.
        sign = 1.0 if rng.uniform() < 1.0 - image.mean() / 255.0 else -1.0
        change = sign * rng.uniform(*self.contrast)
        return _blend(image, image.astype(np.float32) + change, opacity), opacity >= 0.5


@dataclasses.dataclass(frozen=True)
class Stain:
    """A spot of one colour, dark or light, through which the texture shows weakly, as oil or paint leaves it.

    Parameters
    ----------
    size : (float, float)
        Radius, as a fraction of the image's shorter side.
    strength : (float, float)
        Opacity of the spot.
    """

    size: Range = (0.12, 0.20)
    strength: Range = (0.65, 0.85)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, donor: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put one stain on ``image`` (see :class:`Defect`)."""
        import numpy as np

        _check_range("size", self.size, 0.01, 0.5)
        _check_range("strength", self.strength, 0.01, 1.0)
        shape = (image.shape[0], image.shape[1])
        opacity = blob(shape, rng, size=self.size, roughness=0.4, edge=max(2.0, 0.03 * min(shape)))
        inside = opacity >= 0.5
        # What is light there gets a dark spot, and the other way round: a spot is never the colour of its place.
        colour = 25.0 if image[inside].mean() > 127.5 else 230.0
        return _blend(image, np.full(image.shape, colour), opacity * rng.uniform(*self.strength)), inside


@dataclasses.dataclass(frozen=True)
class Foreign:
    """A piece of another image, brought to the brightness of the place and pasted in with soft edges.

    Parameters
    ----------
    size : (float, float)
        Radius, as a fraction of the image's shorter side.

    References
    ----------
    C.-L. Li et al., *CutPaste: Self-Supervised Learning for Anomaly Detection and Localization*, CVPR 2021,
    arXiv 2104.04015, pastes a rectangle of the same image; this pastes a round piece of a donor.
    """

    size: Range = (0.15, 0.22)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, donor: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put one foreign piece on ``image`` (see :class:`Defect`); needs a donor.

        Raises
        ------
        ParameterError
            Without a donor, or with one that is smaller than the image.
        """
        import numpy as np

        _check_range("size", self.size, 0.01, 0.5)
        shape = (image.shape[0], image.shape[1])
        if donor is None or donor.shape[0] < shape[0] or donor.shape[1] < shape[1]:
            raise ParameterError(
                "a foreign piece needs a donor", allowed=f"an image of at least {shape[1]}×{shape[0]} pixels"
            )
        opacity = blob(shape, rng, size=self.size, roughness=0.3, edge=2.0)
        row = int(rng.integers(donor.shape[0] - shape[0] + 1))
        column = int(rng.integers(donor.shape[1] - shape[1] + 1))
        piece = donor[row : row + shape[0], column : column + shape[1]].astype(np.float32)
        inside = opacity >= 0.5
        # A piece that merely is brighter would be found by any threshold on grey levels.
        piece += image[inside].mean(axis=0) - piece[inside].mean(axis=0)
        return _blend(image, piece, opacity), inside
