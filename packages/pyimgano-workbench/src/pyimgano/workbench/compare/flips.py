"""Images on which two runs decide differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from pyimgano.workbench.compare.matching import MatchedCategory
from pyimgano.workbench.records import PredictionRecord

__all__ = ["CHANGES", "Flip", "find_flips"]

CHANGES = ("worse", "better", "changed")
"""What B's decision is to A's, in the order in which flips are listed; ``"changed"`` where the label is not known."""

_STEPS = {"good": 0, "review": 1, "defective": 2}


@dataclass(frozen=True)
class Flip:
    """One image whose decision changed.

    Attributes
    ----------
    image, category, label, defect
        The image.
    change : str
        One of :data:`CHANGES`.
    a, b : dict
        ``{"score", "threshold", "decision"}`` in each run.
    """

    image: str
    category: str
    label: Optional[int]
    defect: Optional[str]
    change: str
    a: dict[str, Any]
    b: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return asdict(self)


def find_flips(categories: Sequence[MatchedCategory]) -> list[Flip]:
    """Return the images whose decision differs: B's mistakes first, then by category and image."""
    found = [
        Flip(a.image, part.name, a.label, a.defect, _change(a, b), _verdict(a), _verdict(b))
        for part in categories
        for a, b in part.pairs
        if a.decision != b.decision
    ]
    return sorted(found, key=lambda flip: (CHANGES.index(flip.change), flip.category, flip.image))


def _change(a: PredictionRecord, b: PredictionRecord) -> str:
    steps = [_STEPS.get(str(record.decision)) for record in (a, b)]
    if a.label is None or steps[0] is None or steps[1] is None:
        return "changed"
    rejected_more = steps[1] > steps[0]
    return "better" if rejected_more == (a.label == 1) else "worse"


def _verdict(record: PredictionRecord) -> dict[str, Any]:
    return {"score": record.score, "threshold": record.threshold, "decision": record.decision}
