"""A contact sheet of a synthesised dataset: some images of each kind, whole and around their defects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pyimgano.core.images import write_png
from pyimgano.workbench.defects.footprint import bounds_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Preview", "write_preview"]

CELL = 200
"""Side of a picture in pixels."""

CONTEXT = 0.6
"""How much of the surroundings is shown around the defects, as a fraction of their box."""


@dataclass(frozen=True)
class Preview:
    """Two small pictures of one image: the whole with its defects outlined, and the part around them as it is.

    Attributes
    ----------
    row : (str, str)
        Category and folder, by which pictures stand together.
    caption : str
        Number and severities.
    whole, detail : ndarray, (h, w, 3) uint8
    """

    row: tuple[str, str]
    caption: str
    whole: np.ndarray
    detail: np.ndarray

    PER_ROW: ClassVar[int] = 4

    @classmethod
    def of(cls, image: np.ndarray, mask: np.ndarray, row: tuple[str, str], caption: str) -> Preview:
        """Make the pictures of an image, (H, W, 3) uint8, with its mask, (H, W) bool."""
        import numpy as np

        rows, columns = bounds_of(mask)
        margin = max(12, round(CONTEXT * max(rows.stop - rows.start, columns.stop - columns.start)))
        detail = image[
            max(0, rows.start - margin) : rows.stop + margin, max(0, columns.start - margin) : columns.stop + margin
        ]
        # The outline is drawn on the small picture, where a line of the large one would vanish.
        small, covered = _small(image), _small(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2))[..., 0] > 0
        return cls(row, caption, _outlined(small, covered), _small(detail))


def _small(picture: np.ndarray) -> np.ndarray:
    import cv2
    import numpy as np

    factor = min(1.0, CELL / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA))


def _outlined(picture: np.ndarray, covered: np.ndarray) -> np.ndarray:
    import cv2
    import numpy as np

    grown = cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    outlined = picture.copy()
    outlined[grown & ~(cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)] = (230, 40, 40)
    return outlined


def write_preview(pictures: Sequence[Preview], path: Path) -> None:
    """Write the contact sheet, a row per category and folder."""
    from pyimgano.workbench.render.contact_sheet import contact_sheet

    rows: dict[tuple[str, str], list[tuple[str, np.ndarray]]] = {}
    for picture in pictures:
        cells = rows.setdefault(picture.row, [])
        cells += [(picture.caption, picture.whole), ("", picture.detail)]
    titled = [(" / ".join(part for part in row if part), rows[row]) for row in sorted(rows)]
    write_png(contact_sheet(titled, cell=CELL), path)
