"""Splits: the hold-out that a threshold is fitted on, the test set of data that has none, and limits.

Every choice ranks images (or groups) by a hash of the seed and their name, so that it depends on neither the order of
the files nor the platform, and adding an image moves few others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.seeding import derive_seed
from pyimgano.datasets.hashing import ContentHashes

__all__ = ["GoodSplit", "assign_splits", "check_disjoint", "fingerprint", "limit_samples", "split_good"]

TEST_FRACTION = 0.2
"""Share of the good images that becomes the test set's where the data has no split of its own."""


@dataclass(frozen=True)
class GoodSplit:
    """Good images to fit on, and good images that the model does not see until it is calibrated.

    Attributes
    ----------
    fit, calibration : tuple of Sample
        Sorted by id; disjoint, but for the source ``"cross"``, where both are all good images.
    source : {"validation", "hold-out", "cross"}
        Where ``calibration`` comes from: the dataset's own validation images, a part of its training images, or both
        and all of them, to be cut into folds.
    dropped : int
        Defective and unlabelled training images that one-class use leaves out.
    notes : tuple of str
        The same in sentences.
    """

    fit: tuple[Sample, ...]
    calibration: tuple[Sample, ...]
    source: str
    dropped: int
    notes: tuple[str, ...]


def _items(samples: Union[Samples, Iterable[Sample]]) -> tuple[Sample, ...]:
    return samples.samples if isinstance(samples, Samples) else tuple(samples)


def rank_key(seed: int, part: str, key: str) -> bytes:
    """Return what names are sorted by: the same for a seed and a purpose, and without any order otherwise."""
    return hashlib.sha256(f"{derive_seed(seed, part)}\x1f{key}".encode("utf-8", "surrogatepass")).digest()


def _unit(sample: Sample) -> tuple[str, str]:
    """Return what stays together: the group, else the image itself."""
    return ("group", sample.group) if sample.group is not None else ("image", sample.id)


def _take(samples: Sequence[Sample], count: int, seed: int, part: str) -> tuple[set[str], int]:
    """Choose whole units until there are at least ``count`` images; return their ids and the number of units."""
    units: dict[tuple[str, str], list[str]] = {}
    for sample in samples:
        units.setdefault(_unit(sample), []).append(sample.id)
    chosen: set[str] = set()
    for unit in sorted(units, key=lambda unit: (rank_key(seed, part, "\x1f".join(unit)), unit)):
        if len(chosen) >= count:
            break
        chosen.update(units[unit])
    return chosen, len(units)


def _count(holdout: Union[int, float], available: int) -> int:
    """Return the number of images that a fraction or a count stands for."""
    if isinstance(holdout, bool) or not isinstance(holdout, (int, float)) or not math.isfinite(holdout) or holdout <= 0:
        raise DatasetError(f"holdout = {holdout!r}", allowed="a fraction between 0 and 1, or a number of images ≥ 1")
    if isinstance(holdout, int):
        return holdout
    if holdout >= 1.0:
        raise DatasetError(
            f"holdout = {holdout!r}", allowed="a fraction between 0 and 1, or a number of images ≥ 1 without a point"
        )
    return max(1, round(available * holdout))


def split_good(
    samples: Union[Samples, Sequence[Sample]], holdout: Union[int, float] = 0.2, *, seed: int, cross: bool = False
) -> GoodSplit:
    """Split the good images into those to fit on and those to calibrate on.

    The dataset's own ``validation`` images are the latter where it has good ones. Otherwise a part of the good training
    images is held out, in each category for itself; a group (part, lot) is never on both sides. Test images are never
    touched.

    Parameters
    ----------
    samples : Samples or sequence of Sample
        A dataset, or a part of it.
    holdout : float or int
        Fraction of the good training images to hold out, or their number per category (at least: groups stay whole).
    seed : int
        The same seed chooses the same images, whatever their order.
    cross : bool
        Hold none out: all good training and validation images are fitted on, for cross-conformal calibration.

    Returns
    -------
    GoodSplit

    Raises
    ------
    DatasetError
        When a category has no good training image, or too few of them (or of their groups) to hold any out.
    """
    items = _items(samples)
    _count(holdout, 1)
    fit: list[Sample] = []
    calibration: list[Sample] = []
    notes: list[str] = []
    sources: set[str] = set()
    train = [sample for sample in items if sample.split == "train"]
    dropped = Counter("defective" if sample.label == 1 else "unlabelled" for sample in train if sample.label != 0)
    for kind, count in sorted(dropped.items()):
        notes.append(f"{count} {kind} training images are left out: a one-class model learns from good images only.")
    for category in sorted({sample.category or "" for sample in items if sample.split in ("train", "validation")}):
        named = f" of {category}" if category else ""
        good = [sample for sample in train if sample.label == 0 and (sample.category or "") == category]
        own = [
            sample
            for sample in items
            if sample.split == "validation" and sample.label == 0 and (sample.category or "") == category
        ]
        if not good:
            raise DatasetError(
                f"no good training images{named}", allowed="at least one image with split train, label good"
            )
        if cross:
            sources.add("cross")
            fit += good + own
            calibration += good + own
            too = f", {len(own)} of them validation images," if own else ""
            notes.append(f"All {len(good) + len(own)} good images{named}{too} are fitted on and scored in folds.")
            continue
        if own:
            sources.add("validation")
            fit += good
            calibration += own
            notes.append(f"Calibration uses the dataset's own {len(own)} good validation images{named}.")
            continue
        sources.add("hold-out")
        wanted = _count(holdout, len(good))
        chosen, units = _take(good, wanted, seed, f"calibration:{category}")
        if len(chosen) == len(good):
            kind = "groups" if units < len(good) else "images"
            raise DatasetError(
                f"cannot hold out {wanted} of {len(good)} good training images{named} ({units} {kind}): none would be "
                "left to fit on",
                hint="add good images, or choose a smaller holdout",
            )
        fit += [sample for sample in good if sample.id not in chosen]
        calibration += [sample for sample in good if sample.id in chosen]
        whole = " in whole groups" if units < len(good) else ""
        notes.append(f"{len(chosen)} of {len(good)} good training images{named} are held out{whole}, seed {seed}.")
    if not fit:
        raise DatasetError("no good training images", allowed="at least one image with split train, label good")
    return GoodSplit(
        fit=tuple(sorted(fit, key=lambda sample: sample.id)),
        calibration=tuple(sorted(calibration, key=lambda sample: sample.id)),
        source=next(iter(sources)) if len(sources) == 1 else "hold-out",
        dropped=sum(dropped.values()),
        notes=tuple(notes),
    )


def assign_splits(samples: Samples, *, seed: int, test_fraction: float = TEST_FRACTION) -> Samples:
    """Give splits to data that has none, and say so in the notes.

    Defective images become the test set, together with ``test_fraction`` of the good ones (of each category, in whole
    groups; a group with a defective image goes there as a whole). Without any defective image all good ones are for
    training. A category that has a split keeps it.

    Parameters
    ----------
    samples : Samples
        What a reader returned.
    seed : int
        The same seed chooses the same images, whatever their order.
    test_fraction : float
        In (0, 1).

    Raises
    ------
    DatasetError
        When the good images of a category would all go into the test set.
    """
    done = {sample.category or "" for sample in samples.samples if sample.split is not None}
    without = {sample.category or "" for sample in samples.samples} - done
    if not without:
        return samples
    split_of = {sample.id: sample.split for sample in samples.samples}
    notes: list[str] = []
    for category in sorted(without):
        named = f" of {category}" if category else ""
        items = [sample for sample in samples.samples if (sample.category or "") == category]
        good = [sample for sample in items if sample.label == 0]
        defective = [sample for sample in items if sample.label == 1]
        split_of.update({sample.id: "test" for sample in defective})
        if not good:
            continue
        if not defective:
            split_of.update({sample.id: "train" for sample in good})
            notes.append(f"No split and no defective images{named}: all {len(good)} good ones are for training.")
            continue
        tainted = {_unit(sample) for sample in defective}
        forced = {sample.id for sample in good if _unit(sample) in tainted}
        free = [sample for sample in good if sample.id not in forced]
        wanted = max(0, _count(float(test_fraction), len(good)) - len(forced))
        chosen, _ = _take(free, wanted, seed, f"test:{category}") if wanted else (set(), 0)
        chosen = chosen | forced
        if len(chosen) == len(good):
            raise DatasetError(
                f"no good images{named} would be left to train on after {len(chosen)} went into the test set",
                where=str(samples.root),
                hint="give the images a split: train/good and test folders, or the column 'split' of a manifest",
            )
        for sample in good:
            split_of[sample.id] = "test" if sample.id in chosen else "train"
        notes.append(
            f"The dataset has no split{named}: {len(chosen)} of {len(good)} good images (seed {seed}) and all "
            f"{len(defective)} defective ones are the test set."
        )
    return dataclasses.replace(
        samples,
        samples=tuple(dataclasses.replace(sample, split=split_of[sample.id]) for sample in samples.samples),
        notes=samples.notes + tuple(notes),
    )


def limit_samples(samples: Sequence[Sample], n: int, *, seed: int) -> tuple[Sample, ...]:
    """Return ``n`` samples, or all when there are no more: a stratified choice, never the first ones.

    Each combination of category, split, label and type of defect keeps its share, and at least one sample as long as
    ``n`` allows for it.

    Parameters
    ----------
    samples : sequence of Sample
        What to choose from.
    n : int
        Number of samples, at least 1.
    seed : int
        The same seed chooses the same samples, whatever their order.

    Returns
    -------
    tuple of Sample
        In the order of ``samples``.

    Raises
    ------
    DatasetError
        When ``n`` is less than 1.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise DatasetError(f"limit = {n!r}", allowed="a number of images ≥ 1")
    items = _items(samples)
    if len(items) <= n:
        return items
    strata: dict[tuple[str, ...], list[Sample]] = {}
    for sample in items:
        stratum = (sample.category or "", sample.split or "", str(sample.label), sample.defect or "")
        strata.setdefault(stratum, []).append(sample)
    chosen: set[str] = set()
    for key, share in _shares({key: len(members) for key, members in strata.items()}, n, seed).items():
        ranked = sorted(strata[key], key=lambda sample: (rank_key(seed, "limit", sample.id), sample.id))
        chosen.update(sample.id for sample in ranked[:share])
    return tuple(sample for sample in items if sample.id in chosen)


def _shares(sizes: Mapping[tuple[str, ...], int], n: int, seed: int) -> dict[tuple[str, ...], int]:
    """Share ``n`` out in proportion to ``sizes``: one each while ``n`` allows for it, then by largest remainder."""

    def order(key: tuple[str, ...]) -> Any:
        return rank_key(seed, "stratum", "\x1f".join(key))

    # Labels first: with n = 2, one good and one defective image rather than two kinds of defect.
    labels = sorted({key[2] for key in sizes})
    by_label = {label: sorted((key for key in sizes if key[2] == label), key=order) for label in labels}
    queue = [by_label[label][i] for i in range(len(sizes)) for label in labels if i < len(by_label[label])]
    shares = dict.fromkeys(queue[:n], 1)
    left = n - len(shares)
    total = sum(sizes.values())
    if left > 0:
        ideal = {key: n * size / total for key, size in sizes.items()}
        extra = {key: max(0.0, ideal[key] - 1.0) for key in sizes}
        scale = left / sum(extra.values())
        for key in sizes:
            shares[key] = min(sizes[key], 1 + math.floor(extra[key] * scale + 1e-9))
        remainder = sorted(sizes, key=lambda key: (-(extra[key] * scale - math.floor(extra[key] * scale)), order(key)))
        while sum(shares.values()) < n:
            for key in remainder:
                if sum(shares.values()) < n and shares[key] < sizes[key]:
                    shares[key] += 1
    return shares


def check_disjoint(
    fit: Sequence[Sample],
    calibration: Sequence[Sample],
    test: Sequence[Sample],
    *,
    defects: Sequence[Sample] = (),
    hashes: Optional[ContentHashes] = None,
) -> None:
    """Make sure that no image stands in two of the sets, whatever its name.

    Files are compared by the SHA-256 of their content; only those whose size occurs in two sets are read.

    Parameters
    ----------
    fit, calibration, test : sequence of Sample
        Images to fit on, held-out good images, and test images. Cross-conformal calibration has no held-out images: its
        folds are disjoint by :func:`~pyimgano.datasets.split_folds`.
    defects : sequence of Sample
        Labelled defective images that help to find the threshold.
    hashes : ContentHashes, optional
        What is known already.

    Raises
    ------
    DatasetError
        When one does; it names the files.
    """
    hashes = hashes or ContentHashes()
    sets = {"fit": fit, "calibration": calibration, "calibration defects": defects, "test": test}
    sizes: dict[int, set[str]] = {}
    members: list[tuple[str, Sample, int]] = []
    for name, samples in sets.items():
        for sample in samples:
            size = hashes.size(sample.source)
            sizes.setdefault(size, set()).add(name)
            members.append((name, sample, size))
    suspects = [(name, sample) for name, sample, size in members if len(sizes[size]) > 1]
    first: dict[str, list[tuple[str, Sample]]] = {}
    overlaps: list[str] = []
    for (name, sample), digest in zip(suspects, hashes.of_all(sample.source for _, sample in suspects)):
        for other, twin in first.get(digest, []):
            if other != name:
                overlaps.append(f"{twin.id} ({other}) = {sample.id} ({name})")
                break
        first.setdefault(digest, []).append((name, sample))
    if overlaps:
        shown = "; ".join(overlaps[:10]) + (f"; and {len(overlaps) - 10} more" if len(overlaps) > 10 else "")
        raise DatasetError(
            f"the same image stands in two sets, which would make results look better than they are: {shown}",
            hint="remove the copies; `pyimgano datasets inspect` lists all of them",
        )


def fingerprint(samples: Sequence[Sample], *, hashes: Optional[ContentHashes] = None) -> str:
    """Return the SHA-256 (hexadecimal) over the ids and contents of samples; their order does not matter.

    Raises
    ------
    DatasetError
        When a file cannot be read.
    """
    hashes = hashes or ContentHashes()
    items = sorted(_items(samples), key=lambda sample: sample.id)
    digest = hashlib.sha256()
    for sample, content in zip(items, hashes.of_all(sample.source for sample in items)):
        digest.update(f"{sample.id}\x1f{content}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
