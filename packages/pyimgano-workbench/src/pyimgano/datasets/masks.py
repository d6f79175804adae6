"""Which masks belong to an image: by stem, never by sort order or by a part of the name."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from pyimgano.core.errors import DatasetError
from pyimgano.datasets.listing import Listing, Omissions, list_folder, split_stem
from pyimgano.datasets.roles import MASK_SUFFIXES, MASKS

__all__ = ["MaskFolder", "MaskFolders", "masks_beside"]


def _key(stem: str) -> str:
    """Return what stems are compared by: case and the form of accented letters (macOS writes another) do not matter."""
    return (stem if stem.isascii() else unicodedata.normalize("NFC", stem)).lower()


@dataclass
class MaskFolder:
    """One folder of masks: files named after images, or (LOCO, AutoVI) folders of one file per region.

    Attributes
    ----------
    relative : str
        The folder, relative to the dataset's root.
    files : dict
        Stem in lower case → file names.
    folders : dict
        Name in lower case → name.
    """

    path: str
    relative: str
    files: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, listing: Listing, relative: str) -> MaskFolder:
        """Index a listing."""
        folder = cls(listing.path, relative)
        for name in listing.images:
            folder.files.setdefault(_key(split_stem(name)), []).append(name)
        folder.folders = {_key(name): name for name in listing.folders}
        return folder

    def find(self, stem: str) -> Optional[str]:
        """Return the file that is the mask of the image ``stem``, or None.

        Raises
        ------
        DatasetError
            When several files have the name that the mask should have.
        """
        for suffix in MASK_SUFFIXES:
            names = self.files.get(_key(stem + suffix), [])
            # Names that differ in case only are told apart by the case; otherwise the case does not matter.
            exact = [name for name in names if split_stem(name)[: len(stem)] == stem]
            chosen = exact or names
            if len(chosen) > 1:
                raise DatasetError(
                    f"two masks for the image {stem!r}: {', '.join(chosen)}",
                    where=self.path,
                    hint="keep one of them",
                )
            if chosen:
                return chosen[0]
        return None


class MaskFolders:
    """The mask folders of one dataset, listed when first asked for, with an account of the masks that were used."""

    def __init__(self, root: str, omissions: Omissions) -> None:
        self._root = root
        self._omissions = omissions
        self._known: dict[str, Optional[MaskFolder]] = {}
        self._owners: dict[str, str] = {}

    def folder(self, relative: str) -> Optional[MaskFolder]:
        """Return the mask folder at a path relative to the root, or None when there is none."""
        if relative not in self._known:
            path = os.path.join(self._root, relative)
            found = None
            if os.path.isdir(path):
                # What is left out of other folders is reported by the one who lists them for images.
                below_masks = any(part.lower() in MASKS for part in relative.split("/"))
                omissions = self._omissions if below_masks else Omissions()
                found = MaskFolder.of(list_folder(path, omissions=omissions, relative=relative), relative)
            self._known[relative] = found
        return self._known[relative]

    def find(self, folders: Sequence[str], image: str, *, owner: str) -> tuple[str, ...]:
        """Return the masks of an image, relative to the root; ``()`` when it has none.

        Parameters
        ----------
        folders : sequence of str
            Where to look, relative to the root; the first folder that has masks counts.
        image : str
            The image, relative to its class folder; what lies between is looked for in the mask folders, too.
        owner : str
            The image's id.

        Raises
        ------
        DatasetError
            When a mask fits two images.
        """
        between, name = os.path.split(image)
        for base in folders:
            found = self._find(f"{base}/{between}" if between else base, split_stem(name))
            for mask in found:
                other = self._owners.setdefault(mask, owner)
                if other != owner:
                    raise DatasetError(
                        f"the mask fits two images: {other} and {owner}",
                        where=os.path.join(self._root, mask),
                        hint="give the images different names, or each defect its own folder of masks",
                    )
            if found:
                return found
        return ()

    def _find(self, relative: str, stem: str) -> tuple[str, ...]:
        folder = self.folder(relative)
        if folder is None:
            return ()
        mask = folder.find(stem)
        if mask is not None:
            return (f"{relative}/{mask}",)
        regions = folder.folders.get(_key(stem))
        inner = self.folder(f"{relative}/{regions}") if regions else None
        if inner is None:
            return ()
        names = sorted(name for names in inner.files.values() for name in names)
        return tuple(f"{relative}/{regions}/{name}" for name in names)

    def unused(self, relative: str) -> list[str]:
        """Return the masks below a folder that belong to no image, relative to the root."""
        orphans: list[str] = []
        pending = [relative]
        while pending:
            folder = self.folder(pending.pop())
            if folder is None:
                continue
            for names in folder.files.values():
                orphans += [f"{folder.relative}/{n}" for n in names if f"{folder.relative}/{n}" not in self._owners]
            if folder.relative.count("/") - relative.count("/") < 4:
                pending += [f"{folder.relative}/{name}" for name in folder.folders.values()]
        return sorted(orphans)


def masks_beside(listing: Listing) -> dict[str, str]:
    """Return mask → image for files that are masks of an image in the same folder (``000.png``, ``000_mask.png``)."""
    stems = {split_stem(name): name for name in listing.images}
    beside = {}
    for name in listing.images:
        stem = split_stem(name)
        for suffix in MASK_SUFFIXES:
            if suffix and stem.lower().endswith(suffix) and stem[: -len(suffix)] in stems:
                beside[name] = stems[stem[: -len(suffix)]]
    return beside
