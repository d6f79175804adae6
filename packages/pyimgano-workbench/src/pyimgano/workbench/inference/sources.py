"""What ``infer`` is given: files, folders, patterns and manifests, brought to one stream of images.

A folder is listed when its turn comes, so the names of a million images never lie in memory at once.
"""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from pyimgano.core.errors import DatasetError
from pyimgano.core.images import IMAGE_SUFFIXES
from pyimgano.datasets.listing import Omissions, list_folder

__all__ = ["MANIFEST_SUFFIXES", "InputList", "Source"]

MANIFEST_SUFFIXES = (".jsonl", ".csv")
"""A file with one of these endings lists images; any other file is taken for an image."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One image to score.

    Attributes
    ----------
    name : str
        What the record calls it: the path as it was given, with ``/``; the path that a manifest's row gives.
    path : Path
        The file.
    category, group : str or None
        What a manifest's row says.
    """

    name: str
    path: Path
    category: Optional[str] = None
    group: Optional[str] = None


class InputList:
    """The images that command-line arguments stand for.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders (with all folders below), patterns (``*``, ``?``, ``[…]``, ``**``), manifests (JSONL, CSV).

    Attributes
    ----------
    omissions : Omissions
        What folders and patterns held that is no image by its name; complete when the stream has ended.

    Raises
    ------
    DatasetError
        When an argument names nothing; found at once, before anything is scored.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        if not inputs:
            raise DatasetError("no images given", allowed="files, folders, patterns, manifests (JSONL, CSV)")
        self.inputs = tuple(inputs)
        self.omissions = Omissions()
        for text in self.inputs:
            if not os.path.exists(text) and next(glob.iglob(text, recursive=True), None) is None:
                what = "the pattern matches nothing" if glob.has_magic(text) else "no such file or folder"
                raise DatasetError(what, where=text)

    def __iter__(self) -> Iterator[Source]:
        """Yield the images in the order of the arguments, sorted within each.

        Raises
        ------
        DatasetError
            When a folder or pattern holds no image, or a manifest cannot be read.
        """
        for text in self.inputs:
            found = False
            for source in self._expand(text):
                found = True
                yield source
            if not found:
                raise DatasetError(
                    "no images there", where=text, allowed="files that end in " + ", ".join(sorted(IMAGE_SUFFIXES))
                )

    def _expand(self, text: str) -> Iterator[Source]:
        # Patterns are expanded here because the shell of Windows leaves that to the program. A file whose name has
        # brackets is that file.
        if os.path.exists(text):
            yield from self._expand_path(text, named=True)
            return
        expanded: list[str] = []
        for match in sorted(glob.iglob(text, recursive=True)):
            if any(match.startswith(folder) for folder in expanded):
                continue  # `**` matches a folder and everything in it
            if os.path.isdir(match):
                expanded.append(os.path.join(match, ""))
            yield from self._expand_path(match, named=False)

    def _expand_path(self, text: str, *, named: bool) -> Iterator[Source]:
        suffix = os.path.splitext(text)[1].lower()
        if os.path.isdir(text):
            yield from self._walk(text, frozenset())
        elif named and suffix in MANIFEST_SUFFIXES:
            yield from _manifest_rows(Path(text))
        elif named or suffix in IMAGE_SUFFIXES:
            yield Source(_posix(text), Path(text))
        else:
            self.omissions.add("not an image", _posix(text))

    def _walk(self, folder: str, above: frozenset[tuple[int, int]]) -> Iterator[Source]:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link that leads back up
            self.omissions.add("a link to a folder that it lies in", _posix(folder))
            return
        listing = list_folder(folder, omissions=self.omissions, relative=_posix(folder))
        for name in listing.images:
            path = os.path.join(folder, name)
            yield Source(_posix(path), Path(path))
        for name in listing.folders:
            yield from self._walk(os.path.join(folder, name), above | {identity})


def _posix(text: str) -> str:
    return Path(text).as_posix()


def _manifest_rows(path: Path) -> Iterator[Source]:
    from pyimgano.datasets import read_dataset

    samples = read_dataset(path, format="manifest")
    for sample in samples.samples:
        yield Source(sample.id, sample.source, sample.category, sample.group)
