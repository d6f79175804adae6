"""A look at a whole dataset before it is used: every image and mask is decoded, every file compared with the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from pyimgano.core.batching import default_workers, read_ahead
from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError, ImageError
from pyimgano.core.files import sha256_bytes
from pyimgano.core.images import IMAGE_SUFFIXES, decode_image, read_bytes, read_mask, to_rgb8
from pyimgano.datasets.headers import describe_kind
from pyimgano.datasets.saturation import DefectRule, defects_config, load_region, read_defects_config

__all__ = ["Inspection", "Problem", "inspect_samples"]

SCHEMA = 1


@dataclass(frozen=True)
class Problem:
    """Something that will be in the way.

    Attributes
    ----------
    kind : str
        ``"unreadable-image"``, ``"unusable-values"``, ``"unreadable-mask"``, ``"mask-size"``, ``"empty-mask"``,
        ``"mask-without-image"``, ``"unexplained-mask"`` (by the category's ``defects_config.json``),
        ``"defects-config"``, ``"defective-without-mask"``, ``"duplicate-across-splits"`` or ``"duplicate-labels"``.
    files : tuple of str
        Relative to the dataset's root.
    message : str
        What is wrong, in one sentence.
    """

    kind: str
    files: tuple[str, ...]
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {"kind": self.kind, "files": list(self.files), "message": self.message}


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes
    ----------
    root : Path
        The dataset's root.
    notes : tuple of str
        How the dataset was read, and what was left out.
    folders : tuple of dict
        What each folder was taken for: ``folder``, ``category``, ``split``, ``label``, ``defect``, ``images``,
        ``masks`` (how many of the images have one).
    categories : tuple of dict
        Counts, sizes, colour models, bit depths and values of each category.
    problems : tuple of Problem
        Sorted by kind.
    advice : tuple of str
        What is worth knowing, and no problem.
    """

    root: Path
    notes: tuple[str, ...]
    folders: tuple[dict[str, Any], ...]
    categories: tuple[dict[str, Any], ...]
    problems: tuple[Problem, ...]
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "schema_version": SCHEMA,
            "root": self.root.as_posix(),
            "notes": list(self.notes),
            "folders": list(self.folders),
            "categories": list(self.categories),
            "problems": [problem.to_json() for problem in self.problems],
            "advice": list(self.advice),
        }


@dataclass(frozen=True)
class _Facts:
    """What one image turned out to be."""

    digest: Optional[str] = None
    size: Optional[tuple[int, int]] = None
    model: str = ""
    depth: str = ""
    low: float = 0.0
    high: float = 0.0
    problems: tuple[Problem, ...] = ()


@dataclass
class _Tally:
    """Sums over the images of one category."""

    samples: list[Sample] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    depths: Counter[str] = field(default_factory=Counter)
    low: Optional[float] = None
    high: Optional[float] = None

    def add(self, sample: Sample, facts: _Facts) -> None:
        """Count one image."""
        self.samples.append(sample)
        if facts.size is None:
            return
        self.sizes[facts.size] += 1
        self.models[facts.model] += 1
        self.depths[facts.depth] += 1
        self.low = facts.low if self.low is None else min(self.low, facts.low)
        self.high = facts.high if self.high is None else max(self.high, facts.high)

    def to_json(self, name: Optional[str]) -> dict[str, Any]:
        """Return the sums as a JSON-friendly mapping."""
        counts: dict[str, dict[str, int]] = {}
        for sample in self.samples:
            split = counts.setdefault(sample.split or "none", {"good": 0, "defective": 0, "unlabelled": 0})
            split[_label_name(sample.label)] += 1
        widths = [width for width, _ in self.sizes]
        heights = [height for _, height in self.sizes]
        common = max(self.sizes, key=lambda size: (self.sizes[size], size)) if self.sizes else None
        defective = [sample for sample in self.samples if sample.label == 1]
        groups = {sample.group for sample in self.samples if sample.group is not None}
        return {
            "category": name,
            "images": len(self.samples),
            "splits": counts,
            "defects": dict(sorted(Counter(sample.defect or "unnamed" for sample in defective).items())),
            "defective_with_mask": sum(1 for sample in defective if sample.masks),
            "groups": len(groups),
            "sizes": {
                "distinct": len(self.sizes),
                "width": [min(widths), max(widths)] if widths else None,
                "height": [min(heights), max(heights)] if heights else None,
                "most_common": list(common) if common else None,
            },
            "colour_models": dict(sorted(self.models.items())),
            "bit_depths": dict(sorted(self.depths.items())),
            "values": None if self.low is None else [self.low, self.high],
        }


def _label_name(label: Optional[int]) -> str:
    return "unlabelled" if label is None else ("defective" if label else "good")


def inspect_samples(
    samples: Samples, *, advance: Optional[Callable[[int], None]] = None, workers: Optional[int] = None
) -> Inspection:
    """Decode every image and mask of a dataset, and compare the files.

    Parameters
    ----------
    samples : Samples
        What :func:`pyimgano.datasets.reading.read_dataset` returned.
    advance : callable, optional
        ``advance(1)`` is called after each image.
    workers : int, optional
        Reading threads; as many images are in memory at a time, twice over.

    Returns
    -------
    Inspection
        What is wrong with single files is a :class:`Problem` in it, never an exception.
    """
    items = samples.samples
    tallies: dict[str, _Tally] = {}
    facts: list[_Facts] = []
    rules, unusable = _defect_rules(samples)
    threads = workers or default_workers()
    found = read_ahead(
        lambda index: _examine(items[index], samples.root, rules), len(items), ahead=2 * threads, workers=threads
    )
    for index, fact in enumerate(found):
        facts.append(fact)
        tallies.setdefault(items[index].category or "", _Tally()).add(items[index], fact)
        if advance is not None:
            advance(1)
    problems = unusable + [problem for fact in facts for problem in fact.problems]
    problems += _duplicates(items, facts) + _bare_defects(items) + _orphan_masks(samples)
    return Inspection(
        root=samples.root,
        notes=samples.notes,
        folders=_folders(items),
        categories=tuple(tallies[name].to_json(name or None) for name in sorted(tallies)),
        problems=tuple(sorted(problems, key=lambda problem: (problem.kind, problem.files))),
        advice=_advice(tallies, items, facts),
    )


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _defect_rules(samples: Samples) -> tuple[dict[Path, dict[int, DefectRule]], list[Problem]]:
    """Return config → what its pixel values mean, and the configs that cannot be used."""
    rules: dict[Path, dict[int, DefectRule]] = {}
    problems = []
    for path in sorted({path for sample in samples.samples if (path := defects_config(sample)) is not None}):
        try:
            rules[path] = read_defects_config(path)
        except DatasetError as error:
            place = (error.where or "")[len(str(path)) :].lstrip(": ")
            message = f"{place}: {error.message}" if place else error.message
            problems.append(Problem("defects-config", (_relative(path, samples.root),), message))
    return rules, problems


def _examine(sample: Sample, root: Path, rules: Mapping[Path, Mapping[int, DefectRule]]) -> _Facts:
    """Decode one image and its masks."""
    digest = None
    try:
        data = read_bytes(sample.source)
        digest = sha256_bytes(data)
        image = decode_image(data, where=str(sample.source))
    except ImageError as error:
        return _Facts(digest, problems=(Problem("unreadable-image", (sample.id,), error.message),))
    problems = []
    if image.dtype not in ("uint8", "uint16"):
        try:
            to_rgb8(image, where=str(sample.source))
        except ImageError as error:
            message = error.message + (f" ({error.hint})" if error.hint else "")
            problems.append(Problem("unusable-values", (sample.id,), message))
    height, width = image.shape[:2]
    config = defects_config(sample)
    for path in sample.masks:
        name = _relative(path, root)
        try:
            mask = read_mask(path)
        except ImageError as error:
            problems.append(Problem("unreadable-mask", (name, sample.id), error.message))
            continue
        if mask.shape != (height, width):
            message = f"the mask has {mask.shape[1]}×{mask.shape[0]} pixels, its image {width}×{height}"
            problems.append(Problem("mask-size", (name, sample.id), message))
        elif not mask.any() and len(sample.masks) == 1 and sample.label == 1:
            problems.append(Problem("empty-mask", (name, sample.id), "the mask of a defective image is all zero"))
        elif config is not None and config in rules:
            try:
                load_region(path, sample, (height, width), rules[config])
            except (DatasetError, ImageError) as error:
                problems.append(Problem("unexplained-mask", (name, sample.id), error.message))
    model, depth = describe_kind(data, image)
    return _Facts(digest, (width, height), model, depth, float(image.min()), float(image.max()), tuple(problems))


def _duplicates(items: Sequence[Sample], facts: Sequence[_Facts]) -> list[Problem]:
    """Return the images whose content stands in several splits, or under several labels."""
    same: dict[str, list[Sample]] = {}
    for sample, fact in zip(items, facts):
        if fact.digest is not None:
            same.setdefault(fact.digest, []).append(sample)
    problems = []
    for twins in same.values():
        files = tuple(sample.id for sample in twins)
        splits = sorted({sample.split or "none" for sample in twins})
        labels = sorted({_label_name(sample.label) for sample in twins})
        if len(splits) > 1:
            problems.append(Problem("duplicate-across-splits", files, f"one image in the splits {', '.join(splits)}"))
        if len(labels) > 1:
            problems.append(Problem("duplicate-labels", files, f"one image under the labels {', '.join(labels)}"))
    return problems


def _bare_defects(items: Sequence[Sample]) -> list[Problem]:
    """Return the defective images without a mask, in categories where others have one."""
    masked = {sample.category for sample in items if sample.masks}
    return [
        Problem("defective-without-mask", (sample.id,), "other defective images of its category have masks")
        for sample in items
        if sample.label == 1 and not sample.masks and sample.category in masked and sample.split != "train"
    ]


def _orphan_masks(samples: Samples) -> list[Problem]:
    """Return the images that lie among masks and are neither a mask nor an image of the dataset."""
    known = {os.path.abspath(mask) for sample in samples.samples for mask in sample.masks}
    known |= {os.path.abspath(sample.source) for sample in samples.samples}
    problems = []
    for folder in sorted({os.path.dirname(os.path.abspath(m)) for sample in samples.samples for m in sample.masks}):
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            suffix = os.path.splitext(name)[1].lower()
            if suffix in IMAGE_SUFFIXES and not name.startswith(".") and path not in known and os.path.isfile(path):
                file = _relative(Path(path), Path(os.path.abspath(samples.root)))
                problems.append(Problem("mask-without-image", (file,), "no image of the dataset has this stem"))
    return problems


def _folders(items: Sequence[Sample]) -> tuple[dict[str, Any], ...]:
    """Return what each folder was taken for."""
    rows: dict[tuple[str, str, str, str, str], dict[str, Any]] = {}
    for sample in items:
        folder = sample.id.rpartition("/")[0] or "."
        label = _label_name(sample.label)
        key = (folder, sample.category or "", sample.split or "", label, sample.defect or "")
        row = rows.setdefault(
            key,
            {
                "folder": folder,
                "category": sample.category,
                "split": sample.split,
                "label": label,
                "defect": sample.defect,
                "images": 0,
                "masks": 0,
            },
        )
        row["images"] += 1
        row["masks"] += bool(sample.masks)
    return tuple(rows[key] for key in sorted(rows))


def _advice(tallies: dict[str, _Tally], items: Sequence[Sample], facts: Sequence[_Facts]) -> tuple[str, ...]:
    advice = []
    for name, tally in sorted(tallies.items()):
        where = f"{name}: " if name else ""
        if "16 bit" in tally.depths and tally.high is not None and 255 < tally.high < 16384:
            top = next(limit for limit in (1023, 4095, 16383) if tally.high <= limit)
            advice.append(
                f"{where}16-bit images reach {tally.high:g} of 65535 and will look dark; if the camera gives "
                f"{top.bit_length()} bits, set value_range to [0, {top}]."
            )
        if len(tally.models) > 1 or len(tally.depths) > 1:
            kinds = ", ".join([*sorted(tally.models), *sorted(tally.depths)])
            advice.append(f"{where}the images are of several kinds: {kinds}.")
    within: Counter[tuple[str, str]] = Counter(
        (sample.split or "none", fact.digest) for sample, fact in zip(items, facts) if fact.digest is not None
    )
    extra = sum(count - 1 for count in within.values() if count > 1)
    if extra:
        advice.append(f"{extra} images are copies of another one in the same split.")
    return tuple(advice)
