"""What the commands print: data on stdout, messages on stderr.

Tables are drawn with rich on a terminal. Everywhere else they are plain aligned columns, in which no name is ever cut,
and rich is not imported.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from pyimgano.core.errors import PyimganoError

__all__ = [
    "configure_logging",
    "print_error",
    "print_json",
    "print_message",
    "print_names",
    "print_table",
    "print_text",
    "say",
    "stdout_reserved",
]


def print_text(text: str = "") -> None:
    """Print text to stdout; characters that its encoding lacks are escaped."""
    _write(sys.stdout, text)


def say(text: str) -> None:
    """Print text to stderr, for people; that nobody is left to read it is no error."""
    with contextlib.suppress(OSError, ValueError):
        _write(sys.stderr, text)
        if sys.stderr is not None:
            sys.stderr.flush()


def _write(stream: Any, text: str) -> None:
    if stream is None:  # closed by who started this process, as `>&-` does
        return
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding) + "\n")


def print_json(value: Any) -> None:
    """Print strict, indented JSON to stdout; ASCII only where stdout's encoding is not a Unicode one."""
    from pyimgano.core.files import dumps_json

    text = dumps_json(value, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        import json

        text = json.dumps(json.loads(text), indent=2, ensure_ascii=True)
    print_text(text)


def print_names(names: Sequence[str]) -> None:
    """Print one name per line."""
    for name in names:
        print_text(name)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under their column titles.

    On a terminal long cells wrap, and stand below each other where it is too narrow for that. Elsewhere each row is one
    line, its cells separated by at least two spaces and the titles left out, so that ``cut``, ``awk`` and ``head`` do
    what is expected of them.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from pyimgano.core.narrow_tables import stacked_lines, table_fits

        console = Console()
        if not table_fits(rows, [False] * len(columns), console.width):
            for line in stacked_lines(columns, rows, console.width):
                console.print(Text(line, style="" if line.startswith(" ") else "cyan"), soft_wrap=True)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, title in enumerate(columns):
            table.add_column(title, overflow="fold", no_wrap=index == 0, style="cyan" if index == 0 else None)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        return
    widths = [max((len(row[index]) for row in rows), default=0) for index in range(len(columns))]
    for row in rows:
        print_text("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def print_error(error: PyimganoError) -> None:
    """Print an error to stderr: ``error: <where>: <what>``, then what is allowed and what to type, one line each."""
    print_message("error", error.message, where=error.where, allowed=error.allowed, hint=error.hint)


def print_message(
    kind: str, message: str, *, where: str | None = None, allowed: str | None = None, hint: str | None = None
) -> None:
    """Print ``<kind>: <where>: <message>`` to stderr, and its ``allowed:`` and ``hint:`` lines."""
    lines = [f"{kind}: {where}: {message}" if where else f"{kind}: {message}"]
    if allowed:
        lines.append(f"allowed: {allowed}")
    lines += [f"hint: {line}" for line in (hint or "").splitlines() if line.strip()]
    text = "\n".join(lines)
    say(_painted(kind, text) if _colourful() else text)


def _colourful() -> bool:
    import os

    return (
        sys.stderr is not None
        and sys.stderr.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def _painted(kind: str, text: str) -> str:
    colour = {"error": "31", "warning": "33"}.get(kind, "36")
    return f"\x1b[1;{colour}m{kind}:\x1b[0m" + text[len(kind) + 1 :]


@contextlib.contextmanager
def stdout_reserved() -> Iterator[None]:
    """Send what strangers' modules print while they are imported to stderr: stdout is for data."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


class _Messages(logging.Handler):
    """Writes records to stderr as people read them: progress as it is, warnings and errors with their level."""

    def __init__(self, verbose: bool) -> None:
        super().__init__()
        self.verbose = verbose
        self.setFormatter(logging.Formatter("%(name)s: %(message)s" if verbose else "%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if record.levelno >= logging.WARNING:
                print_message(record.levelname.lower(), text)
            else:
                say(text)
        except Exception:
            self.handleError(record)


def configure_logging(verbosity: int) -> None:
    """Send log records and warnings to stderr.

    Parameters
    ----------
    verbosity : int
        -1 shows warnings and errors; 0 adds progress messages of pyimgano's own packages; 1 adds their debug messages;
        2 adds those of all libraries. A command may ask the logger ``"pyimgano"`` whether it is enabled for ``INFO`` to
        learn whether progress is wanted.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Messages)]:
        root.removeHandler(handler)
    root.addHandler(_Messages(verbose=verbosity > 0))
    root.setLevel(logging.DEBUG if verbosity >= 2 else logging.WARNING)
    level = logging.WARNING if verbosity < 0 else logging.INFO if verbosity == 0 else logging.DEBUG
    logging.getLogger("pyimgano").setLevel(level)
    if verbosity <= 0:
        warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    print_message("warning", str(message))
