"""Moving an image out of the hot folder: it is in one place or in the other, and never over another file."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from pyimgano.core.files import sha256_file
from pyimgano.workbench.watch.journal import Step

__all__ = ["free_name", "move_image"]


def free_name(folder: Path, name: str, taken: set[Path]) -> Path:
    """Return where an image may go in a folder: its own name, or with ``-2``, ``-3``, … before the ending.

    Parameters
    ----------
    taken : set of Path
        What others are on their way to.
    """
    stem, suffix = os.path.splitext(name)
    number = 1
    while True:
        path = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
        if path not in taken and not os.path.lexists(path):
            return path
        number += 1


def move_image(source: Path, step: Step) -> str:
    """Move what a step is about.

    Parameters
    ----------
    source : Path
        Where it lay.
    step : Step
        With its target. What lies at ``source`` is moved only if it is what the step is about.

    Returns
    -------
    {"moved", "gone", "taken"}
        ``"gone"``: nothing of that kind lies there any more: it was moved before, or somebody took or replaced it.
        ``"taken"``: the target is another file's.

    Raises
    ------
    OSError
        When it cannot be moved now.
    """
    assert step.target is not None
    target = Path(step.target)
    if not _is_it(source, step):
        return "gone"
    if os.path.lexists(target):
        if not _is_copy(source, target, step):
            return "taken"
        os.unlink(source)  # a process was killed between the two halves of a move
        return "moved"
    try:
        _rename(source, target)
    except FileExistsError:
        return "taken"
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _copy(source, target, step)
    if not _is_it(target, step):
        # Replaced in the last moment: what has been moved is another image, which nobody has inspected.
        with contextlib.suppress(FileExistsError):
            _rename(target, source)
        return "gone"
    return "moved"


def _is_it(path: Path, step: Step) -> bool:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (status.st_size, status.st_mtime_ns) == (step.size, step.mtime_ns)


def _is_copy(source: Path, target: Path, step: Step) -> bool:
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(source), os.lstat(target)):
            return True
        return step.sha256 is not None and sha256_file(target) == step.sha256
    return False


_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


def _rename(source: Path, target: Path) -> None:
    """Give a file another name, which nothing has; raises FileExistsError where something does."""
    if os.name == "nt":
        os.rename(source, target)  # which replaces nothing there
        return
    if os.path.isdir(source) and not os.path.islink(source):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        os.rename(source, target)
        return
    try:
        # Unlike rename, a link never replaces what another process has put there meanwhile.
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # file systems without links
        os.replace(source, target)
        return
    os.unlink(source)


def _copy(source: Path, target: Path, step: Step) -> str:
    """Move a file to another file system: whole under its final name, before it is removed here."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
    os.close(descriptor)
    try:
        shutil.copy2(source, temporary, follow_symlinks=False)
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        if not _is_it(source, step):
            os.unlink(temporary)
            return "gone"
        _rename(Path(temporary), target)
    except FileExistsError:
        os.unlink(temporary)
        return "taken"
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    os.unlink(source)
    return "moved"
