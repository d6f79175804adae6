"""The help of a command, made to fit the terminal that it is read on.

typer draws options as a table in a box, and cuts their names where the terminal is too narrow for its columns. There,
the help is plain text instead, in which a description that does not fit beside a name stands below it.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["fit_help"]

DESCRIPTION = 40
"""Columns that a table needs beside its names: borders, gaps, short options, and room for descriptions."""


def fit_help(command: Any) -> None:
    """Make a command and those below it write a help that fits.

    Each paragraph of a docstring becomes one line, which the terminal's width breaks: typer would keep the docstring's
    own breaks, and break again. A paragraph that begins with a backspace is left as it is.
    """
    if command.help:
        paragraphs = command.help.split("\f")[0].split("\n\n")
        command.help = "\n\n".join(
            text if text.lstrip().startswith("\b") else " ".join(text.split()) for text in paragraphs
        )
        command.short_help = command.short_help or command.help.split("\n\n")[0]  # plain lists cut what has none
    for parameter in command.params:
        if parameter.default is None:
            parameter.show_default = False  # old releases of typer would write [default: None]
    write = command.format_help

    def format_help(ctx: Any, formatter: Any) -> None:
        from rich.console import Console

        width = Console().width  # typer's tables have it: that of the terminal behind a pipe, too
        if width < _table_width(command.get_params(ctx)):
            _make_plain(command, ctx)
            formatter.width = width
            formatter.write_dl = functools.partial(formatter.write_dl, col_max=max(12, width // 2 - 2))
        write(ctx, formatter)

    command.format_help = format_help
    for part in getattr(command, "commands", {}).values():
        fit_help(part)


def _table_width(parameters: list[Any]) -> int:
    """Return the columns from which no name is cut in a table of these parameters."""
    names, others, values = [0], [0], [0]
    for parameter in parameters:
        names += map(len, parameter.opts)
        others += map(len, parameter.secondary_opts)
        if not getattr(parameter, "is_flag", False):
            # A range is written behind the name of its value, as in N [x>=1].
            longest = len(parameter.metavar or f"<{parameter.type.name}>")
            values.append(longest + (9 if "range" in parameter.type.name else 0))
    return max(names) + max(others) + max(values) + DESCRIPTION


def _make_plain(command: Any, ctx: Any) -> None:
    """Switch a command's help to plain text, and take rich's marks out of it."""
    from rich.markup import render

    command.rich_markup_mode = None
    for part in (command, *command.get_params(ctx), *getattr(command, "commands", {}).values()):
        for name in ("help", "short_help", "epilog"):
            text = getattr(part, name, None)
            if text:
                setattr(part, name, render(text).plain)
