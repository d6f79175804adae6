"""What a component of kind ``preprocess`` is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Optional, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Preprocess", "Stateless"]

S = TypeVar("S", bound="Stateless")


@runtime_checkable
class Preprocess(Protocol):
    """Changes source images, in the same way whatever they are used for.

    Attributes
    ----------
    learns : bool
        Whether :meth:`fit` reads the images; an attribute of the class.
    """

    @property
    def learns(self) -> bool:
        """Whether :meth:`fit` reads the images."""

    def fit(self, images: Iterable[np.ndarray]) -> Any:
        """Learn from good images, (H, W, 3) uint8 RGB, and return ``self``."""

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the changed image, and how it was moved.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            RGB; not changed.

        Returns
        -------
        image : ndarray, (H, W, 3) uint8
            Of the same size.
        moved : ndarray, (2, 3) float64, or None
            Where each pixel (x, y, 1) of the returned image was in the given one; None where nothing was moved.

        Raises
        ------
        ImageError
            When the image cannot be brought to what the model knows; it then has no score.
        """

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned: arrays by name, and JSON-friendly facts."""

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take back what :meth:`get_state` returned."""


class Stateless(ABC):
    """Base of what learns nothing and moves nothing: a subclass has ``_change(image)``."""

    learns: ClassVar[bool] = False

    def fit(self: S, images: Iterable[np.ndarray]) -> S:
        """Return ``self``; the images are not read."""
        return self

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the changed image, and None: nothing was moved."""
        return self._change(image), None

    @abstractmethod
    def _change(self, image: np.ndarray) -> np.ndarray:
        """Return a changed copy of (H, W, 3) uint8."""

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return nothing: nothing is learned."""
        return {}, {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take nothing back."""
