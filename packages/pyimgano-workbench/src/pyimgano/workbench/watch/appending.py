"""Lines at the end of a file, on the disk when the call returns, or not there at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from pyimgano.core.errors import StorageError

__all__ = ["DurableLines", "sync_folder"]


class DurableLines:
    """A file that only grows, by whole lines.

    Parameters
    ----------
    path : Path
        Made where it is not there.

    Raises
    ------
    StorageError
        When it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        fresh = not path.exists()
        try:
            # Without a buffer: what a failed write left behind is known, and can be taken back.
            self._stream: IO[bytes] = open(path, "ab", buffering=0)
        except OSError as error:
            raise _failed(path, error) from error
        self.length = os.fstat(self._stream.fileno()).st_size
        if fresh:
            sync_folder(path.parent)

    def append(self, data: bytes) -> None:
        """Append bytes and wait until they are on the disk; where that fails, the file is as it was.

        Raises
        ------
        StorageError
            When the disk is full or gone.
        """
        if not data:
            return
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._stream.write(rest) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            self.truncate(self.length)
            raise _failed(self.path, error) from error
        self.length += len(data)

    def truncate(self, length: int) -> None:
        """Cut the file off.

        Raises
        ------
        StorageError
            When that fails.
        """
        try:
            os.ftruncate(self._stream.fileno(), length)
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise _failed(self.path, error) from error
        self.length = length

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def sync_folder(path: Path) -> None:
    """Have the names in a folder written to the disk, where the system can do that."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a folder that may not be read, or is gone: whoever uses it next will tell
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot
        pass
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write: {error.strerror or error}", where=str(path), hint="free space, or mend the disk"
    )
