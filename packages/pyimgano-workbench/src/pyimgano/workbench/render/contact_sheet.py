"""Many small pictures on one sheet, in titled rows, each below its caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["contact_sheet"]

GAP = 8
"""Pixels between cells, and around the sheet."""
LINE = 20
"""Height of a line of text in pixels."""
SCALE = 0.45
"""Of OpenCV's built-in font, which knows ASCII only: other characters are drawn as question marks."""
PAPER, INK, EMPTY = 255, 30, 235


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]], *, cell: int = 160) -> np.ndarray:
    """Lay out pictures in rows.

    Parameters
    ----------
    rows : sequence of (str, sequence of (str, ndarray))
        Title of each row and its cells, each a caption and a picture, (H, W, 3) uint8 RGB of any size. Rows may be of
        different lengths; an empty title takes no room where all are empty, nor do captions.
    cell : int
        Side of the square that each picture is fitted into, in pixels, with its proportions kept. Smaller pictures are
        enlarged so that their pixels stay visible.

    Returns
    -------
    ndarray, (H, W, 3) uint8
        RGB.

    Raises
    ------
    ParameterError
        When there is nothing to show, or ``cell`` is below 16.
    ImageError
        When a picture is not (H, W, 3) uint8.

    Examples
    --------
    >>> import numpy as np
    >>> white = np.full((30, 40, 3), 255, np.uint8)
    >>> contact_sheet([("white", [("first", white), ("second", white)])], cell=64).shape[2]
    3
    """
    import numpy as np

    require(cell >= 16, "cell", cell, "at least 16")
    longest = max((len(cells) for _, cells in rows), default=0)
    if longest == 0:
        raise ParameterError("there is no picture to lay out", where="contact sheet")
    margin = max(_width(title) for title, _ in rows)
    left = GAP + (margin + GAP if margin else 0)
    head = LINE if any(caption for _, cells in rows for caption, _ in cells) else 0
    step = head + cell + GAP
    sheet = np.full((GAP + len(rows) * step, left + longest * (cell + GAP), 3), PAPER, dtype=np.uint8)
    for row, (title, cells) in enumerate(rows):
        top = GAP + row * step
        _write(sheet, title, GAP, top + head + cell // 2 + LINE // 4)
        for column, (caption, picture) in enumerate(cells):
            x, y = left + column * (cell + GAP), top + head
            _write(sheet, _shortened(caption, cell), x, y - LINE // 3)
            sheet[y : y + cell, x : x + cell] = _fitted(picture, cell, f"{title}: {caption}")
    return sheet


def _fitted(picture: np.ndarray, cell: int, where: str) -> np.ndarray:
    """Return a square of ``cell`` pixels with the whole picture in its middle."""
    import cv2
    import numpy as np

    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise ImageError(f"shape {picture.shape}, dtype {picture.dtype}", where=where, allowed="(H, W, 3) uint8")
    height, width = picture.shape[:2]
    factor = cell / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Enlarged by repetition: a sheet shows what the pixels are, noise among them.
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_NEAREST
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=how)
    square = np.full((cell, cell, 3), EMPTY, dtype=np.uint8)
    top, left = (cell - size[1]) // 2, (cell - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square


def _width(text: str) -> int:
    import cv2

    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, SCALE, 1)[0][0]) if text else 0


def _shortened(text: str, width: int) -> str:
    """Return the text, or as much of its beginning as fits before an ellipsis."""
    if _width(text) <= width:
        return text
    while text and _width(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _write(sheet: np.ndarray, text: str, x: int, y: int) -> None:
    import cv2

    if text:
        cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, SCALE, (INK, INK, INK), 1, cv2.LINE_AA)
