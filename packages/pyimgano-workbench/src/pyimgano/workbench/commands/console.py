"""What the workbench's commands tell people: messages and progress, on stderr. Data goes through ``printing``.

Progress is a bar on a terminal. Elsewhere it is one line when a stage begins, one when it ends, and one every half
minute, so that the log of a scheduled job stays readable. ``pyimgano --quiet`` silences both.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Callable, Optional, Union

import typer

__all__ = ["ConsoleProgress", "quoted", "say"]

INTERVAL = 30.0
"""Seconds between two plain lines of one stage."""


def wants_messages() -> bool:
    """Tell whether messages are wanted: they are, unless the command line was told to be quiet."""
    return logging.getLogger("pyimgano").isEnabledFor(logging.INFO)


def say(text: str = "") -> None:
    """Print a message to stderr, for people."""
    if wants_messages():
        with contextlib.suppress(OSError, ValueError):  # that nobody is left to read it is no error
            encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
            typer.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=True)


def quoted(path: Union[str, os.PathLike[str]]) -> str:
    """Return a path as it is typed in a shell."""
    import shlex

    text = os.fspath(path)
    if os.name == "nt":  # cmd and PowerShell know double quotes only
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def _of(count: int, total: Optional[int], seconds: float) -> str:
    """Return how much there is in all, and how long the rest takes at the pace so far."""
    if total is None:
        return ""
    left = seconds * (total - count) / count if 0 < count <= total else None
    return f" of {total}" + (f", about {_duration(left)} left" if left is not None else "")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60.0)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60.0:.1f} h"


class ConsoleProgress:
    """Shows the progress of long work on stderr (see :class:`pyimgano.workbench.progress.Progress`)."""

    def __init__(self) -> None:
        self._bar = wants_messages() and sys.stderr is not None and sys.stderr.isatty()

    @contextlib.contextmanager
    def stage(self, title: str, total: Optional[int] = None) -> Iterator[Callable[[int], None]]:
        """Show one stage; the function that it gives is called with the number of items done."""
        if self._bar:
            with self._drawn(title, total) as advance:
                yield advance
            return
        of = f" ({total})" if total is not None else ""
        say(f"{title}{of} …")
        started = last = time.perf_counter()
        count, lock = 0, threading.Lock()

        def advance_count(items: int) -> None:
            nonlocal count, last
            with lock:
                count += items
                if time.perf_counter() - last >= INTERVAL:
                    last = time.perf_counter()
                    say(f"{title}: {count}" + _of(count, total, last - started))

        yield advance_count
        done = f", {count} done" if count and count != total else ""
        say(f"{title}: {time.perf_counter() - started:.1f} s{done}")

    @contextlib.contextmanager
    def _drawn(self, title: str, total: Optional[int]) -> Iterator[Callable[[int], None]]:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(escape(title), total=total)
            yield lambda items: progress.advance(task, items)

    def note(self, text: str) -> None:
        """Show a message."""
        say(text)
