"""The files of a bundle, opened as what they are: input from a stranger.

Nothing of a bundle is used before all of it was verified: the names, that there is neither a file more nor a file less
than the manifest lists, the size and the SHA-256 of each. A zip is unpacked for that into a folder of this process,
readable by its user alone and removed at the end: what was hashed is what is then read, whatever happens to the zip
meanwhile, and the loaders of a run's state, which want files, serve. To keep it in a cache would save little, since the
cache would have to be hashed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Optional, Union

from pyimgano.core.errors import CheckpointError, StorageError
from pyimgano.workbench.bundle.manifest import MAX_FILE, MAX_TOTAL, FileFacts, Manifest
from pyimgano.workbench.bundle.names import MANIFEST, MAX_FILES, check_names

__all__ = ["BundleContents", "open_contents"]

MAX_MANIFEST = 8 << 20
MAX_RATIO = 200
"""Largest ratio of a file's size to that of its compressed form, beyond a megabyte."""
_SLACK = 1 << 20
_PIECE = 1 << 20


class BundleContents:
    """The verified files of a bundle.

    Attributes
    ----------
    path : Path
        The bundle as it was given.
    folder : Path
        Where its files lie: the bundle itself, or where it was unpacked to.
    manifest : Manifest
    """

    def __init__(self, path: Path, folder: Path, manifest: Manifest, *, temporary: bool) -> None:
        self.path = path
        self.folder = folder
        self.manifest = manifest
        # Also at the end of the process, should nobody close it.
        self._remove = weakref.finalize(self, shutil.rmtree, folder, True) if temporary else None

    def close(self) -> None:
        """Remove what was unpacked; the bundle cannot be used then."""
        if self._remove is not None:
            self._remove()

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file that the manifest lists.

        Raises
        ------
        CheckpointError
            When the manifest lists no such file, or it holds no strict JSON object.
        """
        if name not in self.manifest.files:
            raise CheckpointError(f"the bundle has no {name}", where=str(self.path))
        data = _read_json(self.folder / name, f"{self.path}: {name}")
        if not isinstance(data, dict):
            raise CheckpointError("holds no JSON object", where=f"{self.path}: {name}")
        return data


def open_contents(path: Union[str, os.PathLike[str]]) -> BundleContents:
    """Open a bundle, a folder or a zip, and verify all of it.

    Raises
    ------
    CheckpointError
        When there is none, or anything about it is not as it should be; it names the file.
    StorageError
        When a zip cannot be unpacked because the disk is full.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return _open_folder(place)
        if place.is_file():
            return _open_zip(place)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read: {getattr(error, 'strerror', None) or error}", where=str(place)) from error
    raise CheckpointError("there is no such bundle", where=str(place), hint="pyimgano export RUN --to BUNDLE makes one")


# -- a folder ----------------------------------------------------------------------------------------------------------


def _open_folder(place: Path) -> BundleContents:
    found = dict(_walk(place, ""))
    check_names(found, where=str(place))
    if MANIFEST not in found:
        raise CheckpointError(f"is no bundle: it has no {MANIFEST}", where=str(place))
    if found[MANIFEST] > MAX_MANIFEST:
        raise _too_large(MANIFEST, found[MANIFEST], MAX_MANIFEST, place)
    manifest = Manifest.from_json(_read_json(place / MANIFEST, f"{place}: {MANIFEST}"), where=f"{place}: {MANIFEST}")
    _same_files(found, manifest, place)
    for name, facts in manifest.files.items():
        with open(_plain(place / name), "rb") as stream:
            _check_stream(stream, facts, f"{place}: {name}")
    return BundleContents(place, place, manifest, temporary=False)


def _walk(folder: Path, above: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield (name, size) of all files below a folder; links and devices are refused, not followed."""
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            name = f"{above}{entry.name}"
            status = entry.stat(follow_symlinks=False)
            if count > MAX_FILES or depth > 16:
                raise CheckpointError("holds too many files or folders to be a bundle", where=str(folder))
            if stat.S_ISDIR(status.st_mode):
                yield from _walk(folder / entry.name, f"{name}/", depth + 1)
            elif stat.S_ISREG(status.st_mode):
                yield name, status.st_size
            else:
                what = "a link" if stat.S_ISLNK(status.st_mode) else "no file"
                raise CheckpointError(f"{name!r} is {what}", where=str(folder), allowed="files and folders")


def _plain(path: Path) -> Path:
    """Refuse what has become a link since the folder was listed."""
    if path.is_symlink():
        raise CheckpointError(f"{path.name!r} is a link", where=str(path.parent), allowed="files and folders")
    return path


# -- a zip -------------------------------------------------------------------------------------------------------------


def _open_zip(place: Path) -> BundleContents:
    with contextlib.ExitStack() as unpacked:
        try:
            with zipfile.ZipFile(place) as archive:
                members = _members(archive, place)
                with archive.open(members[MANIFEST]) as stream:
                    text = stream.read(MAX_MANIFEST + 1)
                if len(text) > MAX_MANIFEST:
                    raise _too_large(MANIFEST, len(text), MAX_MANIFEST, place)
                manifest = Manifest.from_json(_parsed(text, f"{place}: {MANIFEST}"), where=f"{place}: {MANIFEST}")
                _same_files({name: info.file_size for name, info in members.items()}, manifest, place)
                target = _make_folder()
                unpacked.callback(shutil.rmtree, target, ignore_errors=True)
                for name, facts in manifest.files.items():
                    with archive.open(members[name]) as stream:
                        _unpack(stream, target / name, facts, f"{place}: {name}")
            (target / MANIFEST).write_bytes(text)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise CheckpointError(f"is no whole zip: {error}", where=str(place)) from error
        contents = BundleContents(place, target, manifest, temporary=True)
        unpacked.pop_all()  # from now on its user closes it
    return contents


def _make_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="pyimgano-bundle-"))
    except OSError as error:
        raise StorageError(
            f"cannot make a folder to unpack into: {error.strerror or error}",
            where=tempfile.gettempdir(),
            hint="TMPDIR names another place; a bundle that is a folder needs none",
        ) from error


def _members(archive: zipfile.ZipFile, place: Path) -> dict[str, zipfile.ZipInfo]:
    """Return name → entry of the files of a zip, whose directory promises nothing that is refused."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise CheckpointError(f"holds more than {MAX_FILES} files", where=str(place))
    files, total = [], 0
    for info in infos:
        name = info.orig_filename  # `filename` was already made fit for this system
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.endswith("/") and info.file_size == 0 and kind in (0, stat.S_IFDIR):
            check_names([name[:-1]], where=str(place))
            continue
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "no file"
            raise CheckpointError(f"{name!r} is {what}", where=str(place), allowed="files and folders")
        if info.flag_bits & 1:
            raise CheckpointError(f"{name!r} is encrypted", where=str(place))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointError(f"{name!r} is compressed by method {info.compress_type}", where=str(place))
        if info.file_size > MAX_FILE:
            raise _too_large(name, info.file_size, MAX_FILE, place)
        if info.file_size > MAX_RATIO * info.compress_size + _SLACK:
            raise CheckpointError(
                f"{name!r} of {info.file_size} bytes is packed into {info.compress_size}: a zip bomb", where=str(place)
            )
        total += info.file_size
        files.append(info)
    if total > MAX_TOTAL:
        raise _too_large("all files together", total, MAX_TOTAL, place)
    check_names([info.orig_filename for info in files], where=str(place))
    found = {info.orig_filename: info for info in files}
    if MANIFEST not in found:
        raise CheckpointError(f"is no bundle: it has no {MANIFEST}", where=str(place))
    return found


def _unpack(stream: IO[bytes], target: Path, facts: FileFacts, where: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as copy:
            _check_stream(stream, facts, where, copy)
    except OSError as error:
        raise StorageError(
            f"cannot unpack: {error.strerror or error}",
            where=where,
            hint="TMPDIR names another place; a bundle that is a folder needs none",
        ) from error


# -- both --------------------------------------------------------------------------------------------------------------


def _check_stream(stream: IO[bytes], facts: FileFacts, where: str, copy: Optional[IO[bytes]] = None) -> None:
    """Read a file to its stated end, and no further than a piece beyond; copy it meanwhile."""
    digest, size = hashlib.sha256(), 0
    while piece := stream.read(min(_PIECE, facts.size - size + 1)):
        size += len(piece)
        if size > facts.size:
            raise CheckpointError(f"is longer than the {facts.size} bytes that the manifest states", where=where)
        digest.update(piece)
        if copy is not None:
            copy.write(piece)
    if size != facts.size or digest.hexdigest() != facts.sha256:
        raise CheckpointError("is not the file that the manifest states: size or checksum differ", where=where)


def _same_files(found: dict[str, int], manifest: Manifest, place: Path) -> None:
    missing = sorted(manifest.files.keys() - found.keys())
    if missing:
        raise CheckpointError(f"lacks {missing[0]!r}, which its manifest lists", where=str(place))
    more = sorted(found.keys() - manifest.files.keys() - {MANIFEST})
    if more:
        raise CheckpointError(f"holds {more[0]!r}, which its manifest does not list", where=str(place))
    for name, facts in manifest.files.items():
        if found[name] != facts.size:
            raise CheckpointError(
                f"has {found[name]} bytes, not {facts.size} as the manifest states", where=f"{place}: {name}"
            )


def _too_large(name: str, size: int, allowed: int, place: Path) -> CheckpointError:
    return CheckpointError(f"{name!r} has {size} bytes", where=str(place), allowed=f"at most {allowed}")


def _read_json(path: Path, where: str) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read: {error.strerror or error}", where=where) from error
    return _parsed(text, where)


def _parsed(text: bytes, where: str) -> Any:
    """Return strict JSON; also refuses a key that stands twice in an object, and numbers beyond what floats hold."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError(f"{number[:40]} is no finite number")
        return value

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice in an object")
        return found

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse, parse_float=finite, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"not valid JSON: {error}", where=where) from error
