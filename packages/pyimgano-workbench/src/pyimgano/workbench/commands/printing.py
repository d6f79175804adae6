"""What the workbench's commands print to stdout: data; rich on a terminal, plain lines everywhere else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["print_json", "print_table", "print_text", "stdout_reserved"]


@contextlib.contextmanager
def stdout_reserved() -> Iterator[None]:
    """Send what strangers' code prints, when it is imported or run, to stderr: stdout is for data."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_text(text: str = "") -> None:
    """Print text to stdout; characters that its encoding lacks are escaped."""
    if sys.stdout is None:  # closed by who started this process, as `>&-` does
        return
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def print_json(value: Any) -> None:
    """Print strict, indented JSON to stdout."""
    from pyimgano.core.files import dumps_json

    print_text(dumps_json(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, titles: bool = False) -> None:
    """Print rows of text; on a terminal below their titles, elsewhere one line per row with nothing cut.

    On a terminal that is too narrow for the columns, the cells of a row stand below each other.

    Parameters
    ----------
    columns : sequence of str
        Titles.
    rows : sequence of sequence of str
        Cells. Those of a column in which all are numbers stand to the right.
    titles : bool
        Print the titles even when the output is not a terminal.
    """
    numeric = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from pyimgano.core.narrow_tables import stacked_lines, table_fits

        console = Console()
        if not table_fits(rows, numeric, console.width):
            for line in stacked_lines(columns, rows, console.width):
                console.print(Text(line, style="" if line.startswith(" ") else "cyan"), soft_wrap=True)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, title in enumerate(columns):
            table.add_column(
                title,
                overflow="fold",
                no_wrap=index == 0 or numeric[index],
                style="cyan" if index == 0 else None,
                justify="right" if numeric[index] else "left",
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        return
    shown = [tuple(columns), *rows] if titles else list(rows)
    widths = [max((len(row[index]) for row in shown), default=0) for index in range(len(columns))]
    for row in shown:
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric)]
        print_text("  ".join(cells).rstrip())


def _is_number(cell: str) -> bool:
    return cell in ("", "-", "n/a") or (cell.strip("0123456789.,-–+±%e ") == "" and any(map(str.isdigit, cell)))
