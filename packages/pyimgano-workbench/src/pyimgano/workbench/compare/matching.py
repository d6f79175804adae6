"""Which images two runs have in common, and whether they may be compared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.compare.measured import MeasuredCategory, MeasuredRun
from pyimgano.workbench.records import PredictionRecord

__all__ = ["MatchedCategory", "Matching", "match_runs"]


@dataclass(frozen=True)
class MatchedCategory:
    """One category of both runs.

    Attributes
    ----------
    name : str
        The category.
    a, b : MeasuredCategory
        What each run has of it.
    same : bool
        Whether both were tested on the same images (by id and content).
    pairs : list of (PredictionRecord, PredictionRecord)
        Images that both runs scored, with the same label, in A's order.
    only_a, only_b : list of str
        Images that one run lacks altogether.
    errors : list of dict
        ``{"category", "image", "a", "b"}`` of images without a score in either; null on the side that has one.
    relabelled : list of str
        Images whose labels differ.
    """

    name: str
    a: MeasuredCategory
    b: MeasuredCategory
    same: bool
    pairs: list[tuple[PredictionRecord, PredictionRecord]]
    only_a: list[str]
    only_b: list[str]
    errors: list[dict[str, Optional[str]]]
    relabelled: list[str]


@dataclass(frozen=True)
class Matching:
    """All that two runs have in common, and what they have not.

    Attributes
    ----------
    categories : list of MatchedCategory
        In A's order.
    only_a, only_b : list of str
        Categories that one run lacks.
    """

    categories: list[MatchedCategory]
    only_a: list[str]
    only_b: list[str]

    @property
    def same(self) -> bool:
        """Whether both runs were tested on the same images of the same categories, with the same labels."""
        return not (self.only_a or self.only_b) and all(part.same and not part.relabelled for part in self.categories)


def match_runs(a: MeasuredRun, b: MeasuredRun, *, allow_different: bool = False) -> Matching:
    """Pair the test images of two runs by category and id.

    Parameters
    ----------
    allow_different : bool
        Whether runs of different test images are taken, for what they have in common.

    Raises
    ------
    ConfigError
        When they are not, and it says what differs; or when nothing is in common.
    RunError
        When a run is damaged.
    """
    matching = Matching(
        categories=[_match(a.categories[name], b.categories[name]) for name in a.categories if name in b.categories],
        only_a=[name for name in a.categories if name not in b.categories],
        only_b=[name for name in b.categories if name not in a.categories],
    )
    where = f"{a.name} and {b.name}"
    if not matching.same and not allow_different:
        raise ConfigError(
            f"the runs were not tested on the same images: {'; '.join(_what_differs(matching))}",
            where=where,
            hint="--allow-different-splits compares the images that both have",
        )
    if not any(part.pairs for part in matching.categories):
        raise ConfigError("the runs have no scored test image in common", where=where)
    return matching


def _match(a: MeasuredCategory, b: MeasuredCategory) -> MatchedCategory:
    pairs, errors, relabelled = [], [], []
    for image, record in a.records.items():
        other = b.records.get(image)
        if other is None:
            continue
        if record.label != other.label:
            relabelled.append(image)
        elif record.score is None or other.score is None:
            errors.append({"category": a.name, "image": image, "a": record.error, "b": other.error})
        else:
            pairs.append((record, other))
    return MatchedCategory(
        name=a.name,
        a=a,
        b=b,
        same=a.fingerprint == b.fingerprint,
        pairs=pairs,
        only_a=[image for image in a.records if image not in b.records],
        only_b=[image for image in b.records if image not in a.records],
        errors=errors,
        relabelled=relabelled,
    )


def _what_differs(matching: Matching) -> list[str]:
    found = []
    for side, names in (("A", matching.only_a), ("B", matching.only_b)):
        if names:
            found.append(f"only {side} has the {_some(names, 'category', 'categories')}")
    for part in matching.categories:
        facts: list[str] = []
        for side, images in (("A", part.only_a), ("B", part.only_b)):
            if images:
                facts.append(f"{len(images)} only in {side}")
        if part.relabelled:
            facts.append(f"the {_some(part.relabelled, 'image', 'images')} with another label")
        if not facts and not part.same:
            facts.append(f"the same {len(part.a.records)} names, but other contents")
        if facts:
            common = len(part.a.records) - len(part.only_a)
            found.append(f"{part.name}: {', '.join(facts)}, {common} in both")
    return found


def _some(names: Sequence[Any], one: str, many: str) -> str:
    shown = ", ".join(str(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{one if len(names) == 1 else many} {shown}{more}"
