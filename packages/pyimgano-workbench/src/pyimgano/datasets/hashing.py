"""SHA-256 of image files, read in pieces and remembered for the life of one object."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pyimgano.core.batching import read_ahead
from pyimgano.core.errors import DatasetError
from pyimgano.core.files import sha256_file

__all__ = ["ContentHashes"]


class ContentHashes:
    """Hashes of files by path; each file is read once, as long as its size and time of change stay the same.

    Kept in memory only: a hash on disk would vouch for a file that has changed since.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file in hexadecimal.

        Raises
        ------
        DatasetError
            When the file cannot be read.
        """
        try:
            status = os.stat(path)
            key = (os.fspath(path), status.st_size, status.st_mtime_ns)
            if key not in self._known:
                self._known[key] = sha256_file(path)
        except OSError as error:
            raise DatasetError(f"cannot read: {error.strerror or error}", where=str(path)) from error
        return self._known[key]

    def size(self, path: Path) -> int:
        """Return the size of a file in bytes.

        Raises
        ------
        DatasetError
            When the file cannot be read.
        """
        try:
            return os.stat(path).st_size
        except OSError as error:
            raise DatasetError(f"cannot read: {error.strerror or error}", where=str(path)) from error

    def of_all(self, paths: Iterable[Path]) -> list[str]:
        """Return the hashes of files in their order, read by several threads."""
        items = list(paths)
        if len(items) < 2:
            return [self.of(path) for path in items]
        return list(read_ahead(lambda index: self.of(items[index]), len(items), ahead=64))
