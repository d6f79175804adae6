"""Sheets of small pictures: every picture whole and in its place, with room for its texts. Takes under a second."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.workbench.render import contact_sheet


def plain(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def extent(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return top, left, height and width of what has a colour."""
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    return rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1


def test_pictures_stand_in_their_rows_and_columns_with_their_proportions() -> None:
    wide, tall, small = plain(100, 200, RED), plain(300, 150, GREEN), plain(4, 4, BLUE)
    sheet = contact_sheet([("one", [("a", wide), ("b", tall)]), ("two", [("c", small)])], cell=80)
    red, green, blue = (extent(sheet, colour) for colour in (RED, GREEN, BLUE))
    assert (red[2:], green[2:], blue[2:]) == ((40, 80), (80, 40), (80, 80))
    assert red[1] + red[3] < green[1]  # beside each other
    assert red[0] + red[2] < blue[0]  # below each other
    assert red[1] == blue[1]
    assert (sheet[:, : blue[1]] < 128).any()  # the titles
    assert (sheet[: green[0], red[1] :] < 128).any()  # the captions


def test_no_texts_take_no_room_and_long_ones_stay_above_their_picture() -> None:
    bare = contact_sheet([("", [("", plain(10, 10, RED))])], cell=32)
    assert bare.shape == (48, 48, 3)
    long = contact_sheet(
        [("", [("a caption that is much too long", plain(9, 9, RED)), ("", plain(9, 9, RED))])], cell=64
    )
    second = 8 + 64 + 8
    assert (long[:20, :second] < 128).any()
    assert not (long[:20, second:] < 128).any()


def test_what_cannot_be_laid_out_is_refused() -> None:
    with pytest.raises(ParameterError, match="no picture"):
        contact_sheet([])
    with pytest.raises(ParameterError, match="no picture"):
        contact_sheet([("row", [])])
    with pytest.raises(ParameterError, match="cell = 8"):
        contact_sheet([("", [("", plain(9, 9, RED))])], cell=8)
    with pytest.raises(ImageError, match=r"row: grey: shape \(9, 9\)"):
        contact_sheet([("row", [("grey", plain(9, 9, RED)[..., 0])])])
