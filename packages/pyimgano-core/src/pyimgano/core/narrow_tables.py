"""Tables of text on a terminal that is too narrow for their columns: one cell below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

__all__ = ["stacked_lines", "table_fits"]

WORD = 12
"""A column of words may be broken into lines of so many characters, and is still read."""

GAP = 2


def table_fits(rows: Sequence[Sequence[str]], numeric: Sequence[bool], width: int) -> bool:
    """Tell whether rows can be read as a table.

    Parameters
    ----------
    rows : sequence of sequence of str
        Cells, with or without the titles.
    numeric : sequence of bool
        Which columns hold numbers: they, and the first column, cannot be broken into lines.
    width : int
        Of the terminal, in characters.
    """
    needed = 0
    for index, whole in enumerate(numeric):
        longest = max((len(row[index]) for row in rows), default=0)
        needed += GAP + (longest if whole or index == 0 else min(longest, WORD))
    return needed - GAP <= width


def stacked_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a list: each row's first cell, and the others below it behind their titles.

    Parameters
    ----------
    columns : sequence of str
        Titles.
    rows : sequence of sequence of str
        Cells. Those that are empty or ``"-"`` are left out.
    width : int
        Of the terminal, in characters; a line is longer only where the first cell is.
    """
    lines: list[str] = []
    for row in rows:
        lines.append(row[0])
        for title, cell in zip(columns[1:], row[1:]):
            if cell not in ("", "-"):
                text = f"{title}: {cell}" if title else cell
                lines += textwrap.wrap(
                    text, max(width, 20), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
                )
        lines.append("")
    return lines[:-1]
