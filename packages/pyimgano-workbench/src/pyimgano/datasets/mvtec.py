"""MVTec AD, MVTec LOCO AD and MVTec AD 2, and the datasets that keep to their layout."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.datasets.listing import Omissions, list_folder
from pyimgano.datasets.saturation import DEFECTS_CONFIG, read_defects_config
from pyimgano.datasets.tree import Category, TreeReading, find_categories

__all__ = ["MVTecReader"]

LAYOUT = (
    "<category>/train/good/*.png, <category>/test/{good,<defect>}/*.png, <category>/ground_truth/<defect>/*_mask.png"
)
CONDITIONS = ("regular", "overexposed", "underexposed", "shift_1", "shift_2", "shift_3")
"""Lighting of an MVTec AD 2 image, the end of its stem."""


class MVTecReader:
    """Reads the three MVTec anomaly detection datasets; ``root`` is the dataset or one of its categories.

    LOCO's masks are folders of one PNG per region; AD 2's masks lie in ``test_public/ground_truth``, and its private
    test images are returned without label and split.
    """

    def detect(self, root: Path) -> Optional[str]:
        """Return which of the three ``root`` looks like, or None."""
        if not root.is_dir():
            return None
        categories = find_categories(os.fspath(root), omissions=Omissions())
        kinds = {_kind(category) for category in categories}
        if len(kinds) != 1 or None in kinds:
            return None
        names = ", ".join(category.name for category in categories[:3]) + (", …" if len(categories) > 3 else "")
        return f"{names}: {kinds.pop()}"

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples below ``root``.

        Raises
        ------
        DatasetError
            When there is no category, a wanted one is missing, one has no good training images, or its
            ``defects_config.json`` is malformed.
        """
        reading = TreeReading(root)
        found = [
            category
            for category in find_categories(os.fspath(root), omissions=reading.omissions)
            if category.listing.find_folder("train")
        ]
        if not found:
            raise DatasetError("no category of the MVTec layout", where=os.fspath(root), allowed=LAYOUT)
        for category in reading.choose(found, categories):
            if not category.listing.find_folder("test", "test_public"):
                raise DatasetError(f"category {category.name!r} has no test folder", where=category.listing.path)
            config = Path(category.listing.path, DEFECTS_CONFIG)
            if config.is_file():
                read_defects_config(config)  # it is needed after the fit; what is wrong with it shall be known before
            reading.add_category(category)
        samples = reading.finish()
        return dataclasses.replace(samples, samples=tuple(_with_condition(sample) for sample in samples.samples))


def _kind(category: Category) -> Optional[str]:
    """Return what tells a category of MVTec's from any other folder with train and test."""
    path = category.listing.path
    train = category.listing.find_folder("train")
    if not train or "good" not in list_folder(os.path.join(path, train[0]), omissions=Omissions()).folders:
        return None
    if "test_public" in category.listing.folders:
        return "train/good and test_public, the layout of MVTec AD 2"
    if "test" not in category.listing.folders or "ground_truth" not in category.listing.folders:
        return None
    masks = os.path.join(path, "ground_truth")
    for defect in list_folder(masks, omissions=Omissions()).folders:
        inner = list_folder(os.path.join(masks, defect), omissions=Omissions())
        if inner.images and all(os.path.splitext(name)[0].endswith("_mask") for name in inner.images):
            return "train/good, test and ground_truth/<defect>/*_mask, the layout of MVTec AD"
        if inner.folders and not inner.images:
            return "train/good, test and ground_truth/<defect>/<stem>/*, the layout of MVTec LOCO AD"
    return None


def _with_condition(sample: Sample) -> Sample:
    """Note the lighting of an MVTec AD 2 image, whose split folder and stem state it."""
    if "/test_p" not in f"/{sample.id}":
        return sample
    stem = os.path.splitext(os.path.basename(sample.id))[0]
    for condition in CONDITIONS:
        if stem.endswith(f"_{condition}"):
            return dataclasses.replace(sample, meta={**sample.meta, "condition": condition})
    return sample
