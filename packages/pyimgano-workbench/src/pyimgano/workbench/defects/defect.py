"""What a component of kind ``defects`` is, and the base of those that come with the workbench."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Optional, Protocol

from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.parameters import require
from pyimgano.workbench.defects.footprint import Footprint, bounds_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SEVERITIES", "Defect", "DrawnDefect", "Range", "blend", "check_severity"]

Range = tuple[float, float]

SEVERITIES = (1, 2, 3, 4, 5)
"""From small and faint to what nobody overlooks."""


class Defect(Protocol):
    """What a component of kind ``defects`` makes. Its constructor takes a ``severity`` of 1 to 5."""

    def __call__(
        self,
        image: np.ndarray,
        rng: np.random.Generator,
        *,
        donor: Optional[np.ndarray] = None,
        roi: Optional[np.ndarray] = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put one defect on an image.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            RGB; not changed.
        rng : Generator
            Source of chance: the same state gives the same bytes.
        donor : ndarray, (h, w, 3) uint8, optional
            Another image, for the kinds that paste.
        roi : ndarray, (H, W) bool, optional
            Where the image may change; not empty.

        Returns
        -------
        image : ndarray, (H, W, 3) uint8
            A changed copy.
        mask : ndarray, (H, W) bool
            Where it was changed by at least half of the defect's strength; never empty, and inside the ROI.
        """


def check_severity(severity: Any, name: str = "severity") -> None:
    """Raise a :class:`ParameterError` unless it is one of :data:`SEVERITIES`."""
    known = isinstance(severity, int) and not isinstance(severity, bool) and severity in SEVERITIES
    require(known, name, severity, "a whole number from 1 (small and faint) to 5 (nobody overlooks it)")


def blend(image: np.ndarray, other: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Return ``image``, (h, w, 3) uint8, with ``other`` mixed in by an opacity of (h, w) in [0, 1]."""
    import numpy as np

    mixed = image + (other - image.astype(np.float32)) * opacity[..., None]
    return np.asarray(np.clip(np.rint(mixed), 0, 255), dtype=np.uint8)


class DrawnDefect(ABC):
    """Base of the workbench's kinds: an outline at a random place, and what it looks like there.

    Subclasses are frozen dataclasses with a field per name in ``levels``, whose None means the range of the severity,
    and the field ``severity``. Sizes are fractions of the shorter side of the image, or of the ROI's box. The cost is
    that of the defect's box, and of a copy of the image.

    Attributes
    ----------
    levels : mapping
        What is drawn → its range for each of the severities.
    limits : mapping
        What is drawn → the smallest and the largest value that may be asked for.
    pastes : bool
        Whether it makes use of a donor.
    """

    severity: int
    levels: ClassVar[Mapping[str, tuple[Range, ...]]]
    limits: ClassVar[Mapping[str, Range]]
    pastes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check severity and ranges.

        Raises
        ------
        ParameterError
            Naming the parameter and what it may be.
        """
        check_severity(self.severity)
        for name in self.levels:
            value = getattr(self, name)
            low, high = self.limits[name]
            require(
                value is None or _is_range(value, low, high),
                name,
                value,
                f"two numbers from {low:g} to {high:g}, the smaller first, or null: as the severity says",
            )

    def span(self, name: str) -> Range:
        """Return the range that ``name`` is drawn from."""
        given = getattr(self, name)
        low, high = given if given is not None else self.levels[name][self.severity - 1]
        return (low, high)

    def draw(self, name: str, rng: np.random.Generator) -> float:
        """Draw a value of ``name``."""
        return float(rng.uniform(*self.span(name)))

    @abstractmethod
    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Return where the defect lies in ``area``, (H, W, 3) uint8.

        ``inside``, (H, W) bool or None, is the ROI where it is not the whole image, for kinds that look for a place of
        their own; the others are moved into it afterwards.
        """

    @abstractmethod
    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the footprint's window looks like: (h, w, 3) pixels, and the (h, w) opacity they are mixed by."""

    def __call__(
        self,
        image: np.ndarray,
        rng: np.random.Generator,
        *,
        donor: Optional[np.ndarray] = None,
        roi: Optional[np.ndarray] = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put one defect on ``image`` (see :class:`Defect`).

        Raises
        ------
        ImageError
            When the image is not (H, W, 3) uint8.
        ParameterError
            When the ROI is empty or of another size than the image, or a donor is missing or too small.
        """
        import numpy as np

        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ImageError(f"shape {image.shape}, dtype {image.dtype}", allowed="(H, W, 3) uint8, not empty")
        box = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        if roi is not None:
            box = _box_of(roi, image)
        area, inside = image[box], None if roi is None or roi.all() else roi[box]
        footprint = _solid(self.outline(area, rng, inside), (area.shape[0], area.shape[1]), rng)
        if inside is not None:
            footprint = footprint.moved_into(inside, rng)
        pixels, opacity = self.paint(area, footprint, rng, donor)
        changed, mask = image.copy(), np.zeros(image.shape[:2], dtype=bool)
        changed[box][footprint.window] = blend(area[footprint.window], pixels, opacity)
        mask[box][footprint.window] = footprint.mask
        return changed, mask


def _solid(footprint: Footprint, shape: tuple[int, int], rng: np.random.Generator) -> Footprint:
    """Return the footprint with a mask that is not empty, which it is when something thin falls between the pixels."""
    import numpy as np

    clipped = footprint.clipped(shape)
    if clipped.mask.any():
        return clipped
    opacity = footprint.opacity.copy()
    opacity[np.unravel_index(int(np.argmax(opacity)), opacity.shape)] = 1.0
    solid = Footprint(opacity, footprint.top, footprint.left, footprint.content)
    return solid.moved_into(np.ones(shape, dtype=bool), rng)


def _is_range(value: Any, low: float, high: float) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in value)
    return numbers and low <= value[0] <= value[1] <= high


def _box_of(roi: np.ndarray, image: np.ndarray) -> tuple[slice, slice]:
    if roi.shape != image.shape[:2]:
        (height, width), (rows, columns) = image.shape[:2], roi.shape[:2]
        raise ParameterError(
            f"the ROI has {columns}×{rows} pixels, the image {width}×{height}", allowed="a ROI of the image's own size"
        )
    if not roi.any():
        raise ParameterError("the ROI is empty", allowed="a mask with at least one pixel that is not 0")
    return bounds_of(roi)
