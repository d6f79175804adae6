"""Any folder of the user's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.datasets.listing import Omissions, list_folder
from pyimgano.datasets.tree import (
    EXPECTED,
    Category,
    TreeReading,
    find_categories,
    refuse_masks,
    refuse_twins,
    split_folders,
)

__all__ = ["FolderReader"]


class FolderReader:
    """Reads split folders, class folders without splits, or a flat folder of good images.

    ``train/{good|normal|ok}``, ``test/{good|normal|ok}``, ``test/<defect>`` and optional
    ``ground_truth/<defect>/<stem>{,_mask}.*``, for one category or for several below one root; or good and defect
    folders without splits; or images only.
    """

    def detect(self, root: Path) -> Optional[str]:
        """Return what the folder looks like, or None when its folders and files say nothing."""
        if not root.is_dir():
            return None
        categories = find_categories(os.fspath(root), omissions=Omissions())
        if len(categories) == 1:
            return f"{_describe(categories[0])} in {categories[0].relative or 'the root'}"
        if categories:
            return f"{len(categories)} folders ({categories[0].name}, …), each with {_describe(categories[0])}"
        listing = list_folder(os.fspath(root), omissions=Omissions())
        return f"{len(listing.images)} images and no split or class folders" if listing.images else None

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples below ``root``.

        Raises
        ------
        DatasetError
            When nothing says which images are good, or a category or its good images are missing.
        """
        reading = TreeReading(root)
        found = find_categories(os.fspath(root), omissions=reading.omissions)
        if not found:
            return self._read_flat(root, categories)
        for category in reading.choose(found, categories):
            reading.add_category(category)
        return reading.finish()

    def _read_flat(self, root: Path, categories: Optional[Sequence[str]]) -> Samples:
        reading = TreeReading(root)
        base = os.fspath(root)
        listing = list_folder(base, omissions=reading.omissions)
        if not listing.images:
            folders = ", ".join(listing.folders[:8]) + (", …" if len(listing.folders) > 8 else "")
            found = f"folders: {folders}" if listing.folders else "no images and no folders"
            raise DatasetError(f"nothing says which images are good; found {found}", where=base, allowed=EXPECTED)
        refuse_masks(listing)
        refuse_twins(listing)
        name = os.path.basename(os.path.abspath(base)) or "root"
        reading.choose([Category(name, "", listing)], categories)
        if listing.folders:
            reading.omissions.add("a folder beside the images", *listing.folders)
        reading.samples = [
            Sample(id=image, source=Path(base, image), split="train", label=0, category=name)
            for image in listing.images
        ]
        reading.notes.append(
            f"All {len(listing.images)} images lie in one folder: all are taken as good training images. There are no "
            "test images, so nothing can be evaluated."
        )
        return reading.finish()


def _describe(category: Category) -> str:
    splits = split_folders(category.listing)
    return (
        " and ".join(f"{folder}/" for folder in splits.values()) if splits else "folders of good and defective images"
    )
