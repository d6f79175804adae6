"""How long work tells about itself, without knowing who listens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Callable, Optional, Protocol

__all__ = ["Progress", "Silent"]

Advance = Callable[[int], None]


class Progress(Protocol):
    """Listens to long work. The commands draw bars with it; :class:`Silent` does nothing."""

    def stage(self, title: str, total: Optional[int] = None) -> AbstractContextManager[Advance]:
        """Return a context in which the stage runs; it gives a function to call with the number of items done.

        The function may be called from several threads, and more often than ``total`` says.
        """

    def note(self, text: str) -> None:
        """Tell something that the user should see now."""


class Silent:
    """Listens to nothing."""

    @contextlib.contextmanager
    def stage(self, title: str, total: Optional[int] = None) -> Iterator[Advance]:
        """Give a function that does nothing."""
        yield lambda count: None

    def note(self, text: str) -> None:
        """Drop it."""
