"""Sets of images that show the same: exact copies by content, near ones by their signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.workbench.audit.near import join_alike, likeness_to
from pyimgano.workbench.audit.signatures import ImageFacts
from pyimgano.workbench.audit.unions import Unions

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DuplicateSet", "find_duplicates"]


@dataclass(frozen=True)
class DuplicateSet:
    """Images that show the same.

    Attributes
    ----------
    samples : tuple of Sample
        Sorted by id.
    exact : tuple of bool
        Whether each has the same bytes as the first.
    likeness : tuple of float or None
        Of each to the first, see :mod:`pyimgano.workbench.audit.near`; None where they are of two categories.
    """

    samples: tuple[Sample, ...]
    exact: tuple[bool, ...]
    likeness: tuple[Optional[float], ...]

    @property
    def kind(self) -> str:
        """``"exact"`` when all have the same bytes, else ``"near"``."""
        return "exact" if all(self.exact) else "near"

    @property
    def leak(self) -> bool:
        """Whether it stands in two splits of one category: what a model learned from is what it is tested on."""
        splits: dict[Optional[str], set[Optional[str]]] = {}
        for sample in self.samples:
            splits.setdefault(sample.category, set()).add(sample.split)
        return any(len(found) > 1 for found in splits.values())

    @property
    def conflict(self) -> bool:
        """Whether it is called good and defective."""
        return len({sample.label for sample in self.samples if sample.label is not None}) > 1

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "kind": self.kind,
            "leak": self.leak,
            "label_conflict": self.conflict,
            "images": [
                {
                    "image": sample.id,
                    "category": sample.category,
                    "split": sample.split,
                    "label": sample.label,
                    "exact": exact,
                    "likeness": None if likeness is None else round(likeness, 5),
                }
                for sample, exact, likeness in zip(self.samples, self.exact, self.likeness)
            ],
        }


def find_duplicates(
    samples: Sequence[Sample], facts: Sequence[ImageFacts], signatures: np.ndarray, likeness: float
) -> tuple[list[DuplicateSet], Unions]:
    """Return the sets of images that show the same, the most dangerous first, and all links between images.

    Copies are found in the whole dataset, near-duplicates within each category.

    Parameters
    ----------
    samples : sequence of Sample
        Sorted by id.
    facts, signatures
        See :func:`pyimgano.workbench.audit.signatures.read_signatures`.
    likeness : float
        See :func:`pyimgano.workbench.audit.near.join_alike`.
    """
    import numpy as np

    unions = Unions(len(samples))
    first: dict[str, int] = {}
    for index, fact in enumerate(facts):
        if fact.digest is not None:
            unions.join(index, first.setdefault(fact.digest, index))
    contrast = signatures.any(axis=1)
    means: dict[Optional[str], np.ndarray] = {}
    for category in {sample.category for sample in samples}:
        single = _without_copies(samples, facts, contrast, category, first)
        means[category] = signatures[single].mean(axis=0, dtype=np.float64)
        for position, root in enumerate(join_alike(signatures[single], means[category], likeness).roots()):
            unions.join(single[position], single[root])
    members: dict[int, list[int]] = {}
    for index, root in enumerate(unions.roots()):
        members.setdefault(root, []).append(index)
    sets = [_set(indices, samples, facts, signatures, means) for indices in members.values() if len(indices) > 1]
    return sorted(sets, key=_danger), unions


def _without_copies(
    samples: Sequence[Sample],
    facts: Sequence[ImageFacts],
    contrast: np.ndarray,
    category: Optional[str],
    first: dict[str, int],
) -> list[int]:
    """Return the images of a category with something to compare, one of those with the same bytes."""
    kept = []
    for index, (sample, fact) in enumerate(zip(samples, facts)):
        if sample.category == category and contrast[index]:
            original = first[str(fact.digest)]
            if original == index or samples[original].category != category:
                kept.append(index)
    return kept


def _set(
    indices: list[int],
    samples: Sequence[Sample],
    facts: Sequence[ImageFacts],
    signatures: np.ndarray,
    means: dict[Optional[str], np.ndarray],
) -> DuplicateSet:
    head = indices[0]
    category = samples[head].category
    exact = tuple(facts[i].digest == facts[head].digest for i in indices)
    near = likeness_to(signatures[indices], signatures[head], means[category])
    return DuplicateSet(
        tuple(samples[i] for i in indices),
        exact,
        tuple(
            1.0 if same else float(value) if samples[i].category == category else None
            for i, same, value in zip(indices, exact, near)
        ),
    )


def _danger(found: DuplicateSet) -> tuple[bool, bool, int, str]:
    return (not found.leak, not found.conflict, -len(found.samples), found.samples[0].id)
