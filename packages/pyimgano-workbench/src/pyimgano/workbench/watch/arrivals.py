"""What lies in a hot folder, and since when it has not changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyimgano.core.images import IMAGE_SUFFIXES

__all__ = ["Arrival", "Settling", "list_arrivals"]


@dataclass(frozen=True)
class Arrival:
    """An entry of the folder that is an image by its name.

    Attributes
    ----------
    name : str
        In the folder.
    size : int
        In bytes.
    mtime_ns : int
        When it was last changed, by the clock of whoever holds the folder.
    regular : bool
        Whether it is a file; a folder, link or pipe of such a name is none.
    """

    name: str
    size: int
    mtime_ns: int
    regular: bool = True


def list_arrivals(folder: Path) -> list[Arrival]:
    """Return the images of a folder, the oldest first; not of folders below it.

    Hidden files and those without the ending of an image are passed over: a program that copies under another name and
    renames at the end is never disturbed.

    Raises
    ------
    OSError
        When the folder cannot be listed.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or os.path.splitext(entry.name)[1].lower() not in IMAGE_SUFFIXES:
                continue
            try:
                status = os.lstat(entry.path)
            except FileNotFoundError:  # gone since it was listed
                continue
            found.append(Arrival(entry.name, status.st_size, status.st_mtime_ns, stat.S_ISREG(status.st_mode)))
    return sorted(found, key=lambda arrival: (arrival.mtime_ns, arrival.name))


class Settling:
    """Tells which images have been left alone for long enough.

    Only what was seen counts: the clock of another machine, by which a share stamps its files, is compared with itself
    alone.

    Parameters
    ----------
    seconds : float
        For how long size and time of change must stay as they are.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since: dict[str, tuple[Arrival, float]] = {}

    def __len__(self) -> int:
        """Return how many are known that have not been forgotten."""
        return len(self._since)

    def update(self, arrivals: Iterable[Arrival], now: float) -> list[Arrival]:
        """Take what lies in the folder at the time ``now``, in seconds; return what has settled, in its order."""
        known, self._since = self._since, {}
        settled = []
        for arrival in arrivals:
            before = known.get(arrival.name)
            since = before[1] if before is not None and before[0] == arrival else now
            self._since[arrival.name] = (arrival, since)
            if now - since >= self.seconds:
                settled.append(arrival)
        return settled

    def forget(self, name: str) -> None:
        """Let an image begin anew when it is seen again."""
        self._since.pop(name, None)
