"""What lies in the cache: every file with what its sidecar says, leftovers of killed processes, and their removal.

Only the folders of :data:`FOLDERS` are looked at, so that a cache directory that was set to a folder with other things
in it loses none of them. Links are never followed out of the cache: a folder that is a link is not entered, and
removing a link leaves what it points to.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.cache import cache_dir, sidecar_path, verify_cached
from pyimgano.core.errors import PyimganoError, StorageError
from pyimgano.core.feature_cache import count_damaged
from pyimgano.core.files import load_json

__all__ = ["FOLDERS", "CachedFile", "list_cached", "remove_cached", "verify_file"]

FOLDERS: Mapping[str, str] = {"weights": "weights", "graphs": "graph", "features": "features"}
"""Folder of the cache → what its files are; features of one kind, however many images they are of, count as one."""

BUSY_SECONDS = 600
"""A temporary file that was changed within this time may belong to a process that is running."""


@dataclass(frozen=True)
class CachedFile:
    """One file of the cache, or the temporary file or folder that a killed process left.

    Attributes
    ----------
    path : Path
    name : str
        Its path below the cache directory, with ``/``.
    kind : {"weights", "graph", "features", "leftover"}
    size : int
        In bytes, without its sidecar; a link's own, which is next to nothing, when it points to a folder.
    made, used : float
        Seconds since the epoch: when it was written; when it was last read, as far as the file system notes that.
    record : mapping
        Its sidecar; empty when there is none.
    problem : str or None
        Why it is not used by pyimgano: no sidecar, a damaged one, a leftover.
    link : str or None
        What it points to, when it is a symbolic link.
    """

    path: Path
    name: str
    kind: str
    size: int
    made: float
    used: float
    record: Mapping[str, Any] = field(default_factory=dict)
    problem: Optional[str] = None
    link: Optional[str] = None

    @property
    def model(self) -> Optional[str]:
        """What the sidecar says that the file holds."""
        return self._text("model")

    @property
    def version(self) -> Optional[str]:
        """Which release or source of it."""
        return self._text("version")

    @property
    def sha256(self) -> Optional[str]:
        """The checksum that the sidecar states."""
        return self._text("sha256")

    @property
    def busy(self) -> bool:
        """Whether it is a temporary file that a running process may be writing."""
        return self.kind == "leftover" and time.time() - self.made < BUSY_SECONDS

    def _text(self, key: str) -> Optional[str]:
        value = self.record.get(key)
        return value if isinstance(value, str) else None

    def called(self, name: str) -> bool:
        """Tell whether ``name`` means this file: its path, name or folder in the cache, its model, model.version."""
        names = {self.name, self.path.name, str(self.path)}
        if self.kind == "graph":  # the file itself has the same name in every folder
            names = {self.name, self.name.rpartition("/")[0], self.path.parent.name, str(self.path)}
        if self.model:
            names |= {self.model, f"{self.model}.{self.version}"}
        return name.rstrip("/") in names

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping; the times are in UTC."""
        return {
            "name": self.name,
            "path": str(self.path),
            "kind": self.kind,
            "model": self.model,
            "version": self.version,
            "size": self.size,
            "made": _utc(self.made),
            "used": _utc(self.used),
            "sha256": self.sha256,
            "problem": self.problem,
            "link": self.link,
            "sidecar": dict(self.record) or None,
        }


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def list_cached() -> tuple[CachedFile, ...]:
    """Return what lies in the cache, sorted by name; no file is read but the sidecars.

    Raises
    ------
    StorageError
        When a folder of the cache cannot be read.
    """
    root = cache_dir()
    found: list[CachedFile] = []
    for folder, kind in FOLDERS.items():
        place = root / folder
        if place.is_dir() and not place.is_symlink():
            found += _feature_folders(root, place) if kind == "features" else _scan(root, place, kind)
    return tuple(sorted(found, key=lambda file: file.name))


def _scan(root: Path, folder: Path, kind: str) -> Iterator[CachedFile]:
    try:
        with os.scandir(folder) as items:
            entries = {item.name: item for item in items}
    except FileNotFoundError:  # another process renamed or removed it
        return
    except OSError as error:
        raise StorageError(f"cannot read the folder: {error.strerror or error}", where=str(folder)) from error
    for name, entry in entries.items():
        path = Path(entry.path)
        try:
            if name.startswith("."):
                yield _leftover(root, path, "a temporary file of a process that was killed, or still runs")
            elif entry.is_dir(follow_symlinks=False):
                yield from _scan(root, path, kind)
            elif name.endswith(".json") and name[: -len(".json")] in entries:
                continue  # a sidecar
            elif name.endswith(".json"):
                yield _leftover(root, path, "a sidecar without its file")
            else:
                yield _described(root, path, kind, entry.is_symlink())
        except FileNotFoundError:
            continue


def _feature_folders(root: Path, folder: Path) -> Iterator[CachedFile]:
    """Describe the folders of :mod:`pyimgano.core.feature_cache`, each as one file."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_dir():
            if path.name.startswith("."):
                yield _leftover(root, path, "a temporary file of a process that was killed, or still runs")
            continue
        sizes, times = [0], [path.stat().st_mtime]
        for row in path.iterdir():
            try:
                status = row.stat()
            except FileNotFoundError:  # another process made room
                continue
            sizes.append(status.st_size)
            times.append(status.st_mtime)
        record: Mapping[str, Any] = {}
        problem: Optional[str] = None
        try:
            loaded = load_json(sidecar_path(path))
            record = loaded if isinstance(loaded, dict) else {}
        except PyimganoError as error:
            problem = f"nothing says which features these are: {error.message}"
        name = path.relative_to(root).as_posix()
        yield CachedFile(path, name, "features", sum(sizes), min(times), max(times), record, problem)


def _leftover(root: Path, path: Path, problem: str) -> CachedFile:
    """Describe a temporary file or folder; the newest change in a folder is that of the folder."""
    own = path.lstat()
    size, changed = own.st_size, own.st_mtime
    if path.is_dir() and not path.is_symlink():
        size = 0
        for parent, _, files in os.walk(path):  # os.walk follows no links
            for name in files:
                inside = Path(parent, name).lstat()
                size, changed = size + inside.st_size, max(changed, inside.st_mtime)
    link = os.readlink(path) if path.is_symlink() else None
    name = path.relative_to(root).as_posix()
    return CachedFile(path, name, "leftover", size, changed, changed, problem=problem, link=link)


def _described(root: Path, path: Path, kind: str, is_link: bool) -> CachedFile:
    status = path.stat() if path.exists() and path.is_file() else path.lstat()
    record: Mapping[str, Any] = {}
    problem: Optional[str] = "no sidecar that states its checksum"
    if is_link and not path.is_file():
        problem = "a link that leads to no file"
    elif sidecar_path(path).is_file():
        try:
            loaded = load_json(sidecar_path(path))
            problem = "its sidecar is damaged"
            if isinstance(loaded, dict) and isinstance(loaded.get("sha256"), str):
                record, problem = loaded, None
        except PyimganoError as error:
            problem = f"its sidecar is damaged: {error.message}"
    return CachedFile(
        path,
        path.relative_to(root).as_posix(),
        kind,
        status.st_size,
        status.st_mtime,
        max(status.st_atime, status.st_mtime),
        record,
        problem,
        os.readlink(path) if is_link else None,
    )


def verify_file(file: CachedFile) -> Optional[str]:
    """Return what is wrong with a cached file, or None when its content is what its sidecar states; reads all of it."""
    if file.problem:
        return file.problem
    if file.kind == "features":
        damaged = count_damaged(file.path)
        return f"{damaged} rows are damaged; they are computed again when they are asked for" if damaged else None
    try:
        verify_cached(file.path)
    except PyimganoError as error:
        return error.message
    return None


def remove_cached(file: CachedFile) -> None:
    """Remove a file of the cache with its sidecar, and the folders that are then empty.

    Of a link, the link is removed and never what it points to.

    Raises
    ------
    StorageError
        When it lies outside of the cache directory, or cannot be removed.
    """
    root = cache_dir().resolve()
    folder = file.path.parent.resolve()
    if not any(folder == root / name or root / name in folder.parents for name in FOLDERS):
        raise StorageError("does not lie in the cache; nothing is removed", where=str(file.path), allowed=str(root))
    try:
        if file.path.is_dir() and not file.path.is_symlink():
            shutil.rmtree(file.path)
        else:
            file.path.unlink()
        # After its file: a sidecar alone is never taken for weights.
        if sidecar_path(file.path).is_file() or sidecar_path(file.path).is_symlink():
            sidecar_path(file.path).unlink()
    except FileNotFoundError:
        pass  # another process was faster
    except OSError as error:
        raise StorageError(f"cannot remove: {error.strerror or error}", where=str(file.path)) from error
    while folder.parent != root:
        try:
            folder.rmdir()
        except OSError:  # other files lie in it
            break
        folder = folder.parent
