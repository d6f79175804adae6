"""Images that are of another kind than the rest of their category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from pyimgano.core.contracts import Sample
from pyimgano.workbench.audit.signatures import ImageFacts

__all__ = ["Oddity", "find_oddities"]

COMMON = 0.8
"""Share of a category's images that must be of one kind for the others to be odd."""

_KINDS: tuple[tuple[str, Callable[[ImageFacts], Any], Callable[[Any], str]], ...] = (
    ("size", lambda fact: fact.size, lambda size: f"{size[0]} × {size[1]} pixels"),
    ("colours", lambda fact: fact.colours, str),
    ("depth", lambda fact: fact.depth, str),
)


@dataclass(frozen=True)
class Oddity:
    """One image that is of another kind.

    Attributes
    ----------
    sample : Sample
    kind : str
        ``"unreadable"``, ``"constant"``, ``"size"``, ``"colours"`` or ``"depth"``.
    message : str
        What it is, and what the others are.
    """

    sample: Sample
    kind: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "image": self.sample.id,
            "category": self.sample.category,
            "split": self.sample.split,
            "label": self.sample.label,
            "kind": self.kind,
            "message": self.message,
        }


def find_oddities(samples: Sequence[Sample], facts: Sequence[ImageFacts]) -> list[Oddity]:
    """Return what is odd, by kind and id: unreadable and constant images, and rare sizes, colours and bit depths.

    A size (colour model, bit depth) is rare where at least 80 % of a category's images have another one in common.
    """
    found = []
    for sample, fact in zip(samples, facts):
        if fact.error is not None:
            found.append(Oddity(sample, "unreadable", fact.error))
        elif fact.low == fact.high:
            found.append(Oddity(sample, "constant", f"every pixel has the value {fact.low:g}"))
    for category in {sample.category for sample in samples}:
        own = [(s, f) for s, f in zip(samples, facts) if s.category == category and f.error is None]
        found.extend(_rare(own))
    order = ("unreadable", "constant", *(kind for kind, _, _ in _KINDS))
    return sorted(found, key=lambda odd: (order.index(odd.kind), odd.sample.id))


def _rare(images: Sequence[tuple[Sample, ImageFacts]]) -> Iterator[Oddity]:
    for kind, value_of, text in _KINDS:
        counts = Counter(value_of(fact) for _, fact in images)
        if len(counts) < 2:
            continue
        common, count = counts.most_common(1)[0]
        if count < COMMON * len(images):
            continue
        for sample, fact in images:
            if value_of(fact) != common:
                message = f"{text(value_of(fact))}; {count} of {len(images)} have {text(common)}"
                yield Oddity(sample, kind, message)
