"""A lock that the operating system drops when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Optional

from pyimgano.core.errors import RunError

__all__ = ["RunLock"]

_NAME = ".lock"


class RunLock:
    """Keeps two processes from working on one run directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / _NAME
        self._descriptor: Optional[int] = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        RunError
            When another process has it, or the folder cannot be written.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunError(f"cannot write: {error.strerror or error}", where=str(self.path.parent)) from error
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                os.close(descriptor)
                raise RunError(
                    "another process is working on this run", where=str(self.path.parent), hint="wait until it is done"
                ) from error
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


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
