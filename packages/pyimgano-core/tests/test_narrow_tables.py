"""Tables that do not fit: when, and what becomes of them. Takes no time."""

from __future__ import annotations

from pyimgano.core.narrow_tables import stacked_lines, table_fits

ROWS = [("patchcore", "Nearest neighbours in a coreset of patch features", "0.912 ± 0.003"), ("padim", "-", "")]


def test_a_table_fits_where_words_may_be_broken_and_names_and_numbers_are_whole():
    numeric = [False, False, True]
    needed = len("patchcore") + 2 + 12 + 2 + len("0.912 ± 0.003")
    assert table_fits(ROWS, numeric, needed)
    assert not table_fits(ROWS, numeric, needed - 1)
    assert table_fits(ROWS, [False] * 3, needed - 1)


def test_cells_stand_below_their_name_and_empty_ones_are_left_out():
    assert stacked_lines(("model", "what", "AUROC"), ROWS, 30) == [
        "patchcore",
        "  what: Nearest neighbours in",
        "    a coreset of patch",
        "    features",
        "  AUROC: 0.912 ± 0.003",
        "",
        "padim",
    ]
