"""Which good images a synthesised dataset trains on, tests on, and puts defects on: each has one role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.datasets import ContentHashes
from pyimgano.datasets.splits import rank_key

__all__ = ["Roles", "assign_roles"]

TEST_SHARE = 0.4
"""Of the good images without a test split: half of these stay good, the others get defects."""


@dataclass(frozen=True)
class Roles:
    """The good images of one category, each in one role.

    Attributes
    ----------
    category : str
        ``""`` where the dataset has none.
    train, validation, test : tuple of Sample
        What stays good.
    changed : tuple of Sample
        What gets defects; at least one.
    notes : tuple of str
        How it came to that, and what was left out.
    """

    category: str
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...]
    changed: tuple[Sample, ...]
    notes: tuple[str, ...]


def assign_roles(samples: Samples, *, seed: int) -> list[Roles]:
    """Give every good image of a dataset one role.

    Train and validation images keep their split. Half of the good test images get defects; without at least two of
    them, two fifths of all good images become test images first. Lots are drawn by the seed, groups stay whole, and of
    images with the same content one is kept. Defective and unlabelled images are left out.

    Raises
    ------
    DatasetError
        When a category has no good images, or too few to be in three roles.
    """
    hashes = ContentHashes()
    names = sorted({sample.category or "" for sample in samples.samples}) or [""]
    return [
        _category_roles(
            name, [s for s in samples.samples if (s.category or "") == name], str(samples.root), seed, hashes
        )
        for name in names
    ]


def _category_roles(name: str, items: Sequence[Sample], root: str, seed: int, hashes: ContentHashes) -> Roles:
    named = f" of {name}" if name else ""
    good = [sample for sample in items if sample.label == 0]
    notes = []
    if len(items) > len(good):
        notes.append(f"{len(items) - len(good)} defective or unlabelled images{named} are left out.")
    if not good:
        raise DatasetError(
            f"no good images{named} to put defects on", where=root, allowed="a folder of good images, or a dataset"
        )
    good, copies = _distinct(good, hashes)
    if copies:
        notes.append(f"{copies} images{named} with the content of another are left out.")
    test = [sample for sample in good if sample.split == "test"]
    validation = [sample for sample in good if sample.split == "validation"]
    train = [sample for sample in good if sample.split not in ("test", "validation")]
    if len(_units(test)) < 2 or not train:
        every = train + test
        test = _drawn(every, max(2, round(TEST_SHARE * len(every))), seed, f"synthesis:test:{name}")
        chosen = {sample.id for sample in test}
        train = [sample for sample in every if sample.id not in chosen]
        notes.append(f"{len(test)} of {len(every)} good images{named} are taken for testing, seed {seed}.")
    if len(_units(test)) < 2 or not train:
        raise DatasetError(
            f"{len(good)} different good images{named} in {len(_units(good))} groups are too few",
            where=root,
            allowed="at least three: one to train on, one to test on, one to put a defect on",
        )
    changed = _drawn(test, len(test) // 2, seed, f"synthesis:changed:{name}")
    chosen = {sample.id for sample in changed}
    left = tuple(sample for sample in test if sample.id not in chosen)
    return Roles(name, tuple(train), tuple(validation), left, tuple(changed), tuple(notes))


def _distinct(samples: Sequence[Sample], hashes: ContentHashes) -> tuple[list[Sample], int]:
    """Return the samples without those whose file has the content of an earlier one, and how many those were."""
    kept: dict[str, Sample] = {}
    for sample, content in zip(samples, hashes.of_all(sample.source for sample in samples)):
        kept.setdefault(content, sample)
    return list(kept.values()), len(samples) - len(kept)


def _unit(sample: Sample) -> tuple[str, str]:
    return ("group", sample.group) if sample.group is not None else ("image", sample.id)


def _units(samples: Sequence[Sample]) -> dict[tuple[str, str], list[Sample]]:
    units: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        units.setdefault(_unit(sample), []).append(sample)
    return units


def _drawn(samples: Sequence[Sample], count: int, seed: int, part: str) -> list[Sample]:
    """Draw whole units until there are ``count`` images, and at least one unit is left, in the order of the samples."""
    units = _units(samples)
    ranked = sorted(units, key=lambda unit: (rank_key(seed, part, "\x1f".join(unit)), unit))
    chosen: set[str] = set()
    for unit in ranked[: max(1, len(ranked) - 1)]:
        if len(chosen) >= count:
            break
        chosen.update(sample.id for sample in units[unit])
    return [sample for sample in samples if sample.id in chosen]
