"""Reading of datasets whose folders carry the meaning: splits, good images, defects, masks, categories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.names import unknown_name_hint
from pyimgano.datasets.listing import Listing, Omissions, list_folder, same_stem, walk_images
from pyimgano.datasets.masks import MaskFolders, masks_beside
from pyimgano.datasets.roles import GOOD, LABELS, MASKS, PRIVATE, SPLITS

__all__ = [
    "Category",
    "TreeReading",
    "class_folders",
    "find_categories",
    "refuse_masks",
    "refuse_twins",
    "split_folders",
]

EXPECTED = (
    "train/{good|normal|ok}/*.png with test/{good|normal|ok}/*.png and test/<defect>/*.png, directly or once per "
    "category; or good/*.png and <defect>/*.png; or images only, all good"
)


@dataclass(frozen=True)
class Category:
    """One object or texture: its name, and its folder relative to the root (``""``: the root itself)."""

    name: str
    relative: str
    listing: Listing


def split_folders(listing: Listing) -> dict[str, str]:
    """Return split → folder of a category's folder.

    Raises
    ------
    DatasetError
        When two folders stand for the same split.
    """
    found: dict[str, str] = {}
    for folder in listing.folders:
        split = SPLITS.get(folder.lower())
        if split is not None and split in found:
            raise DatasetError(
                f"two folders for the split {split!r}: {found[split]} and {folder}", where=listing.path, hint="keep one"
            )
        if split is not None:
            found[split] = folder
    return found


def class_folders(listing: Listing) -> list[str]:
    """Return the folders of a split that stand for a class: all but those of masks and of the unlabelled."""
    return [folder for folder in listing.folders if folder.lower() not in MASKS + PRIVATE]


def refuse_masks(listing: Listing) -> None:
    """Refuse a folder in which images and masks lie side by side, and nothing says which images are good.

    Raises
    ------
    DatasetError
        It says how to label the images.
    """
    if masks_beside(listing) or listing.find_folder(*MASKS, *LABELS):
        raise DatasetError(
            "images and masks, and no folder that says which images are good",
            where=listing.path,
            allowed=EXPECTED,
            hint="list the images in a manifest with a label each, and read that (see docs/datasets.md)",
        )


def refuse_twins(listing: Listing) -> None:
    """Refuse a folder in which two images differ in their ending only.

    Raises
    ------
    DatasetError
        It names two of them.
    """
    twins = same_stem(listing)
    if twins is not None:
        raise DatasetError(
            f"{twins[0]} and {twins[1]} differ in their ending only: one may be the mask, or a copy, of the other",
            where=listing.path,
            hint="keep one of them, move masks to ground_truth/<defect>, or list the images in a manifest",
        )


def _is_category(listing: Listing) -> bool:
    return bool(split_folders(listing)) or bool(listing.find_folder(*GOOD))


def find_categories(root: str, *, omissions: Omissions) -> list[Category]:
    """Return the categories below a folder, sorted; none when the folders do not say what they are.

    A folder that has split folders, or a folder of good images, is a category. So is one whose only such folder has its
    own name (``can/can/train``). A single folder that holds everything is descended into.
    """
    return _find_categories(root, "", omissions, depth=0)


def _find_categories(root: str, relative: str, omissions: Omissions, depth: int) -> list[Category]:
    base = os.path.join(root, relative) if relative else root
    listing = list_folder(base, omissions=omissions, relative=relative)
    if _is_category(listing):
        return [Category(os.path.basename(os.path.abspath(base)) or "root", relative, listing)]
    categories = []
    strangers = []
    for folder in listing.folders:
        place = f"{relative}/{folder}" if relative else folder
        inner = Omissions()
        child = list_folder(os.path.join(root, place), omissions=inner, relative=place)
        if not _is_category(child):
            same = child.find_folder(folder.lower())
            if same:
                place = f"{place}/{same[0]}"
                child = list_folder(os.path.join(root, place), omissions=inner, relative=place)
        if _is_category(child):
            categories.append(Category(folder, place, child))
            for reason, count in inner.counts.items():
                omissions.add(reason, *inner.examples[reason])
                omissions.counts[reason] += count - len(inner.examples[reason])
        else:
            strangers.append(place)
    if categories:
        if strangers:
            omissions.add("a folder that is not a category (no train or good folder)", *strangers)
        if listing.images:
            omissions.add("an image outside the categories", *listing.images)
        return categories
    if len(listing.folders) == 1 and not listing.images and depth < 2:
        return _find_categories(root, strangers[0], omissions, depth + 1)
    return []


@dataclass
class TreeReading:
    """One reading of a root; it collects samples, notes and omissions.

    Parameters
    ----------
    root : Path
        The dataset's root, which the ids are relative to.
    """

    root: Path
    omissions: Omissions = field(default_factory=Omissions)
    notes: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._root = os.fspath(self.root)
        self.masks = MaskFolders(self._root, self.omissions)
        self._mask_roots: set[str] = set()

    def choose(self, categories: Sequence[Category], wanted: Optional[Sequence[str]]) -> list[Category]:
        """Return the ``wanted`` categories (all when None).

        Raises
        ------
        DatasetError
            When one is missing; it names those that are there.
        """
        if wanted is None:
            return list(categories)
        known = {category.name: category for category in categories}
        for name in wanted:
            if name not in known:
                raise DatasetError(
                    f"no category {name!r}",
                    where=self._root,
                    allowed=sorted(known),
                    hint=unknown_name_hint(name, known),
                )
        return [known[name] for name in sorted(set(wanted))]

    def add_category(self, category: Category) -> None:
        """Read one category.

        Raises
        ------
        DatasetError
            When it has no good training image, or its folders contradict each other.
        """
        splits = split_folders(category.listing)
        before = len(self.samples)
        if category.listing.images:
            prefix = f"{category.relative}/" if category.relative else ""
            self.omissions.add("an image outside the splits", *(prefix + name for name in category.listing.images))
        if splits:
            self._add_splits(category, splits)
            if "test" not in splits:
                self.notes.append(f"Category {category.name!r} has no test images, so it cannot be evaluated.")
        else:
            self._add_classes(category, category.listing, category.relative, None)
            self.notes.append(f"Category {category.name!r} has no split folders; good and defective images are known.")
        added = self.samples[before:]
        trained = "train" if splits else None
        if not any(sample.split == trained and sample.label == 0 for sample in added):
            place = splits.get("train", "train") if splits else category.listing.find_folder(*GOOD)[0]
            raise DatasetError(
                f"category {category.name!r} has no good images to train on",
                where=os.path.join(category.listing.path, place),
                allowed=EXPECTED,
            )
        self._report_masks(category, list(splits.values()), added)

    def finish(self) -> Samples:
        """Return what was read, sorted by id.

        Raises
        ------
        DatasetError
            When nothing was.
        """
        if not self.samples:
            raise DatasetError("no images found", where=self._root, allowed=EXPECTED)
        return Samples(
            self.root,
            tuple(sorted(self.samples, key=lambda sample: sample.id)),
            tuple(self.notes) + self.omissions.notes(),
        )

    # -- splits --------------------------------------------------------------------------------------------------

    def _add_splits(self, category: Category, splits: dict[str, str]) -> None:
        handled = set(splits.values())
        for split, folder in splits.items():
            relative = f"{category.relative}/{folder}" if category.relative else folder
            listing = list_folder(os.path.join(self._root, relative), omissions=self.omissions, relative=relative)
            named = class_folders(listing)
            if named and not (listing.images and all(name.lower() in LABELS for name in named)):
                if listing.images:
                    self.omissions.add(
                        f"an image directly in {folder}, beside its folders",
                        *(f"{relative}/{name}" for name in listing.images),
                    )
                self._add_classes(category, listing, relative, split)
            elif listing.images:
                self._add_unsorted(category, listing, relative, split)
        for folder in category.listing.folders:
            relative = f"{category.relative}/{folder}" if category.relative else folder
            if folder.lower() in PRIVATE:
                self._add_private(category, relative, folder)
            elif folder not in handled and folder.lower() not in MASKS:
                self.omissions.add("a folder that is no split", relative)

    def _add_unsorted(self, category: Category, listing: Listing, relative: str, split: str) -> None:
        """Take images that lie directly in a split's folder."""
        refuse_masks(listing)
        refuse_twins(listing)
        label = None if split == "test" else 0
        for name in listing.images:
            self._add(category, f"{relative}/{name}", split=split, label=label)
        meaning = "taken as good" if label == 0 else "unlabelled: they are scored, not evaluated"
        self.notes.append(f"{len(listing.images)} images directly in {relative} are {meaning}.")

    def _add_private(self, category: Category, relative: str, folder: str) -> None:
        count = 0
        path = os.path.join(self._root, relative)
        for inner, listing in walk_images(path, omissions=self.omissions, relative=relative):
            for name in listing.images:
                image = f"{relative}/{inner}/{name}" if inner else f"{relative}/{name}"
                self._add(category, image, split=None, label=None, meta={"subset": folder})
                count += 1
        self.notes.append(f"{count} images of {relative} have no labels and belong to no split.")

    # -- classes -------------------------------------------------------------------------------------------------

    def _add_classes(self, category: Category, parent: Listing, relative: str, split: Optional[str]) -> None:
        """Take every class folder of a split (of the category itself when it has no splits)."""
        for folder in class_folders(parent):
            place = f"{relative}/{folder}" if relative else folder
            good = folder.lower() in GOOD
            mask_folders = self._mask_folders(category, relative, split, folder, flat=not good)
            path = os.path.join(self._root, place)
            parts = list(walk_images(path, omissions=self.omissions, relative=place, skip=MASKS))
            grouped = len({inner.split("/")[0] for inner, part in parts if inner and part.images}) > 1
            count = 0
            for inner, listing in parts:
                inside = f"{inner}/" if inner else ""
                refuse_twins(listing)
                beside = masks_beside(listing)
                pairs = {image: mask for mask, image in beside.items()}
                for name in listing.images:
                    if name in beside:
                        continue
                    if name in pairs:
                        masks: tuple[str, ...] = (f"{place}/{inside}{pairs[name]}",)
                    else:
                        masks = self.masks.find(mask_folders, inside + name, owner=f"{place}/{inside}{name}")
                    self._add(
                        category,
                        f"{place}/{inside}{name}",
                        split=split,
                        label=int(not good),
                        defect=None if good else folder,
                        masks=() if good else masks,  # a good image's mask is black by definition
                        group=f"{place}/{inner.split('/')[0]}" if grouped and inner else None,
                    )
                    count += 1
            if count == 0:
                self.omissions.add("a folder without images", place)
            if grouped:
                self.notes.append(f"Each folder in {place} is one group: it stays on one side of a split.")

    def _mask_folders(
        self, category: Category, relative: str, split: Optional[str], defect: str, *, flat: bool
    ) -> list[str]:
        """Return where the masks of a class may lie, the most specific place first."""
        found = self._inside(f"{relative}/{defect}" if relative else defect, MASKS)
        self._mask_roots.update(found)
        if relative != category.relative:
            for base in self._inside(relative, MASKS):
                found += self._inside(base, (defect.lower(),)) + [base] * flat
        for base in self._inside(category.relative, MASKS):
            same_split = tuple(name for name, role in SPLITS.items() if role == split)
            by_split = self._inside(base, same_split)
            for folder in by_split:
                found += self._inside(folder, (defect.lower(),)) + [folder] * flat
            # Numbers start anew in every split: masks that do not say which one they belong to are those of the test.
            if not by_split and split in ("test", None):
                found += self._inside(base, (defect.lower(),)) + [base] * flat
        return found

    def _inside(self, relative: str, names: Sequence[str]) -> list[str]:
        """Return the folders with one of the lower-case ``names`` in the folder ``relative``."""
        folder = self.masks.folder(relative)
        prefix = f"{relative}/" if relative else ""
        return [prefix + folder.folders[name] for name in names if name in folder.folders] if folder else []

    def _add(
        self,
        category: Category,
        relative: str,
        *,
        split: Optional[str],
        label: Optional[int],
        defect: Optional[str] = None,
        masks: tuple[str, ...] = (),
        group: Optional[str] = None,
        meta: Optional[dict[str, str]] = None,
    ) -> None:
        self.samples.append(
            Sample(
                id=relative,
                source=Path(self._root, relative),
                split=split,
                label=label,
                category=category.name,
                defect=defect,
                masks=tuple(Path(self._root, mask) for mask in masks),
                group=group,
                meta=meta or {},
            )
        )

    def _report_masks(self, category: Category, split_folders: Sequence[str], added: Sequence[Sample]) -> None:
        """Say which masks belong to no image, and how many defective test images have none."""
        prefix = f"{category.relative}/" if category.relative else ""
        for place in [category.relative, *(prefix + folder for folder in split_folders)]:
            self._mask_roots.update(self._inside(place, MASKS))
        for base in sorted(self._mask_roots):
            self.omissions.add("a mask without an image", *self.masks.unused(base))
        self._mask_roots.clear()
        defective = [sample for sample in added if sample.label == 1 and sample.split != "train"]
        bare = [sample for sample in defective if not sample.masks]
        if bare and len(bare) < len(defective):
            names = ", ".join(sample.id for sample in bare[:3]) + (", …" if len(bare) > 3 else "")
            self.notes.append(
                f"{len(bare)} of {len(defective)} defective images of {category.name} have no mask ({names})."
            )
