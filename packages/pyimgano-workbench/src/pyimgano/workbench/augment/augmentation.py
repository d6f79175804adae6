"""What a component of kind ``augment`` is, and the base of those that come with the workbench."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Optional, Protocol, runtime_checkable

from pyimgano.core.errors import ImageError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SEVERITIES", "Augmentation", "Change", "Drift", "Geometric"]

SEVERITIES = (1, 2, 3, 4, 5)
"""From just visible to what no line should let happen."""


@runtime_checkable
class Augmentation(Protocol):
    """What a component of kind ``augment`` makes.

    Attributes
    ----------
    severity : int
        One of :data:`SEVERITIES`.
    geometric : bool
        Whether pixels move, and a mask with them. The same for all of a class.
    """

    @property
    def severity(self) -> int:
        """One of :data:`SEVERITIES`."""

    @property
    def geometric(self) -> bool:
        """Whether pixels move, and a mask with them."""

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, mask: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Change an image as the drift would.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            RGB of any size; not changed.
        rng : Generator
            Source of chance: the same state gives the same bytes.
        mask : ndarray, (H, W) bool, optional
            Where the image is defective; not changed.

        Returns
        -------
        image : ndarray, (H, W, 3) uint8
            A changed copy.
        mask : ndarray, (H, W) bool, or None
            Where the defects are now; None where none was given.
        """


@dataclasses.dataclass(frozen=True)
class Drift(ABC):
    """Base of the workbench's drifts.

    Parameters
    ----------
    severity : int
        1 to 5.

    Attributes
    ----------
    levels : mapping
        What grows, with its unit → its values for severities 1 to 5.
    geometric : bool
        Whether pixels move, and a mask with them.

    Raises
    ------
    ParameterError
        When there is no such severity.
    """

    severity: int = 3

    geometric: ClassVar[bool] = False
    levels: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    def __post_init__(self) -> None:
        """Refuse what is no severity."""
        whole = isinstance(self.severity, int) and not isinstance(self.severity, bool)
        require(whole and self.severity in SEVERITIES, "severity", self.severity, ", ".join(map(str, SEVERITIES)))

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, *, mask: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Change an image (see :class:`Augmentation`).

        Raises
        ------
        ImageError
            When the image is not (H, W, 3) uint8, or the mask not of its size.
        """
        import numpy as np

        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ImageError(f"shape {image.shape}, dtype {image.dtype}", allowed="(H, W, 3) uint8")
        if mask is not None and mask.shape != image.shape[:2]:
            raise ImageError(f"the mask has shape {mask.shape}, its image {image.shape[:2]}", allowed="the same size")
        return self._apply(np.ascontiguousarray(image), rng, mask)

    @abstractmethod
    def _apply(
        self, image: np.ndarray, rng: np.random.Generator, mask: Optional[np.ndarray]
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the changed image and mask."""

    def _level(self, name: str) -> float:
        """Return the value of ``levels[name]`` at this severity."""
        return self.levels[name][self.severity - 1]


class Change(Drift):
    """Base of drifts that change values where they are: a mask stays."""

    def _apply(
        self, image: np.ndarray, rng: np.random.Generator, mask: Optional[np.ndarray]
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        return self._changed(image, rng), None if mask is None else mask.copy()

    @abstractmethod
    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a changed copy of (H, W, 3) uint8."""


class Geometric(Drift):
    """Base of drifts that move pixels: the mask goes with them.

    What comes in at a border is the image mirrored there. Images are interpolated bilinearly; of a mask, the nearest
    pixel counts.
    """

    geometric: ClassVar[bool] = True

    def _apply(
        self, image: np.ndarray, rng: np.random.Generator, mask: Optional[np.ndarray]
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        import cv2
        import numpy as np

        move = self._move((image.shape[0], image.shape[1]), rng)
        moved = move(image, cv2.INTER_LINEAR)
        if mask is None:
            return moved, None
        return moved, move(np.ascontiguousarray(mask, dtype=np.uint8), cv2.INTER_NEAREST) > 0

    @abstractmethod
    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        """Draw a movement of images of a size; it is applied to the image and to its mask."""


class Move(Protocol):
    """A movement that was drawn."""

    def __call__(self, pixels: np.ndarray, interpolation: int) -> np.ndarray:
        """Return (H, W) or (H, W, C) uint8 after the movement; ``interpolation`` is one of OpenCV's constants."""
