"""Files that are whole or absent, and JSON that every parser reads.

Everything that pyimgano leaves under a final name was first written beside it under a temporary one, flushed to the
disk, and renamed: a process that is killed, or a disk that is full, leaves the old file or none.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Union

from pyimgano.core.errors import PyimganoError, StorageError

__all__ = ["atomic_folder", "atomic_open", "dump_json", "dumps_json", "load_json", "sha256_bytes", "sha256_file"]

PathLike = Union[str, "os.PathLike[str]"]


@contextlib.contextmanager
def atomic_open(path: PathLike, mode: str = "w") -> Iterator[IO[Any]]:
    r"""Open a temporary file beside ``path`` that takes its name when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    path : path-like
        Final name. Its folder must exist.
    mode : {"w", "wb"}
        Text is UTF-8 with ``\n`` line ends on every system.

    Raises
    ------
    StorageError
        When the folder is missing or read-only, or the disk is full; it names the path.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"atomic_open writes: mode is 'w' or 'wb', not {mode!r}")
    target = Path(path)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise _write_error(target, error) from error
    try:
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
        with open(descriptor, mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp gives 0600; a result is as readable as any file that the user makes.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        # An error of the block's own, about another file or a pipe, is none of writing this one.
        if isinstance(error, OSError) and error.filename in (None, temporary) and error.errno != errno.EPIPE:
            raise _write_error(target, error) from error
        raise


@contextlib.contextmanager
def atomic_folder(path: PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Make a temporary folder beside ``path`` that takes its name when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    path : path-like
        Final name; its parents are made.
    replace : bool
        Whether a folder of that name that is not empty is replaced, at the end of the block.

    Raises
    ------
    PyimganoError
        When the folder cannot be made, written into or named; it names the path.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise _write_error(target, error) from error
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if replace and target.is_dir():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".old", dir=target.parent))
            os.replace(target, old / "content")
            os.replace(temporary, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            if target.is_dir():
                target.rmdir()  # an empty one; Windows renames nothing onto it
            os.replace(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # As above; what lies in the folder belongs to it.
        inside = isinstance(error, OSError) and str(error.filename or temporary).startswith(
            (str(temporary), str(target))
        )
        if isinstance(error, OSError) and inside and error.errno != errno.EPIPE:
            raise _write_error(target, error) from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write: {error.strerror or error}",
        where=str(path),
        hint="choose a folder that exists, is writable and has free space",
    )


def dumps_json(value: Any, *, indent: Union[int, None] = None) -> str:
    """Return strict JSON: no NaN or Infinity, keys in the order given, non-ASCII text kept as it is.

    NumPy scalars and arrays, paths, tuples and dataclass-like objects with ``to_json`` are converted.

    Raises
    ------
    ValueError
        When ``value`` holds a float that is not finite.
    TypeError
        When it holds something that JSON has no form for.
    """
    separators = (",", ":") if indent is None else None
    return json.dumps(value, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if hasattr(value, "tolist"):  # a NumPy scalar or array, without importing NumPy to ask
        return value.tolist()
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dump_json(value: Any, path: PathLike) -> None:
    """Write ``value`` to ``path`` as indented strict JSON (see :func:`dumps_json`), atomically."""
    text = dumps_json(value, indent=2)
    with atomic_open(path) as stream:
        stream.write(text + "\n")


def load_json(path: PathLike) -> Any:
    """Read a strict JSON file.

    Raises
    ------
    PyimganoError
        When the file is missing or is not JSON; it names the file, line and column. NaN and Infinity are refused.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise PyimganoError(f"not valid JSON: {error.msg}", where=place) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PyimganoError(f"cannot read JSON: {reason}", where=str(path)) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: PathLike) -> str:
    """Return the SHA-256 of a file's content in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
