"""Folds for cross-conformal calibration: no group, and no two copies of one image, on both sides of a fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import DatasetError
from pyimgano.datasets.hashing import ContentHashes
from pyimgano.datasets.splits import rank_key

__all__ = ["linked_units", "split_folds"]


def split_folds(
    samples: Sequence[Sample], folds: Union[int, str], *, seed: int, hashes: Optional[ContentHashes] = None
) -> tuple[tuple[Sample, ...], ...]:
    """Cut images into folds of nearly equal size.

    Images of one group stay together, and so do copies of one image, whatever their names: a copy among those that a
    model is fitted on would make the scores of its fold too low.

    Parameters
    ----------
    samples : sequence of Sample
        Good images.
    folds : int or "jackknife"
        Number of folds, at least 2; ``"jackknife"`` makes each fold as small as it can be.
    seed : int
        The same seed gives the same folds, whatever the order of the images.
    hashes : ContentHashes, optional
        What is known already.

    Returns
    -------
    tuple of tuple of Sample
        Each image in exactly one fold; sorted by id in each.

    Raises
    ------
    DatasetError
        When there are fewer images (or groups, or sets of copies) than folds.
    """
    units = linked_units(samples, hashes or ContentHashes())
    count = len(units) if folds == "jackknife" else int(folds)
    if count < 2 or count > len(units):
        kind = "images" if len(units) == len(samples) else "groups and single images"
        raise DatasetError(
            f"cannot cut {len(samples)} good images ({len(units)} {kind}) into {max(2, count)} folds",
            hint=f"use --set calibration.params.folds={len(units)}" if len(units) >= 2 else "bring more good images",
        )
    made: list[list[Sample]] = [[] for _ in range(count)]
    ranked = sorted(units, key=lambda unit: (-len(unit), rank_key(seed, "folds", unit[0].id), unit[0].id))
    for unit in ranked:
        min(made, key=len).extend(unit)
    return tuple(tuple(sorted(fold, key=lambda sample: sample.id)) for fold in made)


def linked_units(samples: Sequence[Sample], hashes: ContentHashes) -> list[list[Sample]]:
    """Return what stays together, each sorted by id: images linked by a group or by their content, however far."""
    items = sorted(samples, key=lambda sample: sample.id)
    parent = list(range(len(items)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, (sample, content) in enumerate(zip(items, hashes.of_all(sample.source for sample in items))):
        links = [("content", content)] + ([("group", sample.group)] if sample.group is not None else [])
        for link in links:
            parent[root(index)] = root(first.setdefault(link, index))
    units: dict[int, list[Sample]] = {}
    for index, sample in enumerate(items):
        units.setdefault(root(index), []).append(sample)
    return list(units.values())
