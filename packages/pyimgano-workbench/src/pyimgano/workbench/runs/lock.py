"""A lock that the operating system drops when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Optional

from pyimgano.core.errors import RunError

__all__ = ["BusyError", "FileLock", "RunLock"]

_NAME = ".lock"


class BusyError(RunError):
    """Another process is working on it."""


class FileLock:
    """Keeps two processes from working on the same thing.

    Parameters
    ----------
    path : Path
        The file of the lock; made, and removed when it is given back.
    busy : str
        What is wrong where another process has it.
    where : Path, optional
        What is worked on; default: the folder of ``path``.
    """

    def __init__(self, path: Path, busy: str, *, where: Optional[Path] = None) -> None:
        self.path = path
        self._busy = busy
        self._where = str(where or path.parent)
        self._descriptor: Optional[int] = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        BusyError
            When another process has it.
        RunError
            When the folder cannot be written.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunError(f"cannot write: {error.strerror or error}", where=self._where) from error
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                os.close(descriptor)
                raise BusyError(self._busy, where=self._where, hint="wait until it is done") from error
            # A file system without locks (some network shares): go on without one.
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back and remove its file; does nothing when it is not held."""
        if self._descriptor is None:
            return
        if sys.platform != "win32":  # removed while it is held, so that nobody locks a file that is about to vanish
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


class RunLock(FileLock):
    """Keeps two processes from working on one run directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / _NAME, "another process is working on this run")


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
