"""What lies in one folder, and an account of everything that a reader left out."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Optional

from pyimgano.core.errors import DatasetError
from pyimgano.core.images import IMAGE_SUFFIXES

__all__ = ["Listing", "Omissions", "list_folder", "same_stem", "split_stem", "walk_images"]

MAX_DEPTH = 6
"""How deep images are looked for below a class folder; a link that points upwards ends here."""

_HIDDEN = frozenset(("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"))


@dataclass
class Omissions:
    """Counts what was left out, by reason, and keeps a few names of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, *names: str) -> None:
        """Count ``names`` as left out for ``reason``, a phrase such as ``"not an image"``."""
        self.counts[reason] += len(names)
        kept = self.examples.setdefault(reason, [])
        kept.extend(names[: max(0, 3 - len(kept))])

    def notes(self) -> tuple[str, ...]:
        """Return one sentence per reason."""
        sentences = []
        for reason in sorted(self.counts):
            count = self.counts[reason]
            if count:
                names = ", ".join(self.examples[reason]) + (", …" if count > len(self.examples[reason]) else "")
                sentences.append(f"Left out, {reason}: {count} ({names}).")
        return tuple(sentences)


@dataclass(frozen=True)
class Listing:
    """The content of one folder, each part sorted by name.

    Attributes
    ----------
    path : str
        The folder.
    images : tuple of str
        Names of files with the ending of an image (any case).
    folders : tuple of str
        Names of folders that are not hidden.
    """

    path: str
    images: tuple[str, ...]
    folders: tuple[str, ...]

    def find_folder(self, *names: str) -> list[str]:
        """Return the folders that have one of the lower-case ``names``, in any case."""
        return [folder for folder in self.folders if folder.lower() in names]


def split_stem(name: str) -> str:
    """Return a file name without its last ending."""
    return os.path.splitext(name)[0]


def list_folder(path: str, *, omissions: Omissions, relative: str = "") -> Listing:
    """List a folder without decoding anything.

    Parameters
    ----------
    path : str
        The folder.
    omissions : Omissions
        Takes what is neither an image nor a folder.
    relative : str
        The folder's name in notes, relative to the dataset's root, without a trailing ``/``.

    Raises
    ------
    DatasetError
        When the folder cannot be listed.
    """
    images: list[str] = []
    folders: list[str] = []
    prefix = f"{relative}/" if relative else ""
    try:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda item: item.name):
                name = entry.name
                if not name.isascii() and not _is_unicode(name):
                    omissions.add(_no_unicode(), prefix + ascii(name))
                elif name.startswith(".") or name.lower() in _HIDDEN:
                    omissions.add("hidden", prefix + name)
                elif entry.is_dir():
                    folders.append(name)
                elif os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES:
                    omissions.add("not an image", prefix + name)
                elif entry.is_file():
                    images.append(name)
                else:
                    omissions.add("neither a file nor a folder, or a broken link", prefix + name)
    except OSError as error:
        raise DatasetError(f"cannot list the folder: {error.strerror or error}", where=path) from error
    return Listing(path, tuple(images), tuple(folders))


def _no_unicode() -> str:
    """Say why a name has no text: its bytes are no UTF-8, or the process was told to read names as something else."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return "a name that is not valid Unicode"
    return f"a name that is not {encoding}, as the system's locale says that names are (set PYTHONUTF8=1)"


def _is_unicode(name: str) -> bool:
    """Tell whether a name can be written to a JSON file; names of other bytes come with surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def same_stem(listing: Listing) -> Optional[tuple[str, str]]:
    """Return two images of a folder that differ in their ending only, if there are any.

    One of them is the other's mask (Real-IAD), or both show the same scene, which would then stand on two sides of a
    split.
    """
    seen: dict[str, str] = {}
    for name in listing.images:
        other = seen.setdefault(split_stem(name), name)
        if other != name:
            return other, name
    return None


def walk_images(
    path: str, *, omissions: Omissions, relative: str, skip: Sequence[str] = (), depth: int = 0
) -> Iterator[tuple[str, Listing]]:
    """Yield ``(folder relative to path, its listing)`` for a class folder and all folders below it.

    A folder without any image, also below it, is counted as an omission. Folders called as in ``skip`` (lower case) are
    passed over.
    """
    listing = list_folder(path, omissions=omissions, relative=relative)
    yield "", listing
    for folder in listing.folders:
        if folder.lower() in skip:
            continue
        place = f"{relative}/{folder}"
        if depth >= MAX_DEPTH:
            omissions.add(f"more than {MAX_DEPTH} folders deep", place)
            continue
        below = list(
            walk_images(os.path.join(path, folder), omissions=omissions, relative=place, skip=skip, depth=depth + 1)
        )
        if not any(part.images for _, part in below):
            omissions.add("a folder without images", place)
        for inner, part in below:
            yield PurePosixPath(folder, inner).as_posix(), part
