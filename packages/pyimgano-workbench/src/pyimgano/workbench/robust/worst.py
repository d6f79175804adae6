"""Pictures of the worst condition: images whose decision it turned wrong, beside the same without drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional

from pyimgano.core.errors import ImageError
from pyimgano.core.images import as_rgb8
from pyimgano.workbench.render import contact_sheet
from pyimgano.workbench.robust.conditions import CLEAN, Condition, change_of
from pyimgano.workbench.robust.results import Robustness
from pyimgano.workbench.robust.scores import CategoryScores
from pyimgano.workbench.robust.subject import Subject

if TYPE_CHECKING:
    import numpy as np

__all__ = ["worst_sheet"]

PER_KIND = 3
CELL = 200


def worst_sheet(subject: Subject, found: Robustness, parts: list[CategoryScores]) -> Optional[np.ndarray]:
    """Return a sheet of the worst condition, (H, W, 3) uint8, or None where it turned no decision wrong.

    A row is one image: as it is, and drifted, each below score and threshold. Good images that are newly rejected and
    defective ones that are newly missed, those whose score moved most across the threshold first.
    """
    worst = found.summary.worst
    if worst is None:
        return None
    condition = Condition(worst["drift"], worst["severity"])
    change = change_of(condition, subject.seed)
    sources = {(test.category, sample.id): sample for test in subject.tests for sample in test.samples}
    rows = []
    for label, kind in ((0, "good, newly rejected"), (1, "defective, newly missed")):
        turned = sorted(_turned(parts, condition, label), reverse=True)[:PER_KIND]
        for _, category, image, before, after, threshold in turned:
            sample = sources[category, image]
            try:
                picture = as_rgb8(sample.source, value_range=subject.models.value_range, where=sample.id)
                drifted = picture if change is None else change(picture, sample)
            except ImageError:  # it could be read a moment ago; a picture is not worth an error
                continue
            rows.append(
                (
                    f"{kind}: {image}"[-60:],
                    [
                        (f"clean: {before:.4g} ({threshold:.4g})", picture),
                        (f"{condition.name}: {after:.4g}", drifted),
                    ],
                )
            )
    return contact_sheet(rows, cell=CELL) if rows else None


def _turned(
    parts: list[CategoryScores], condition: Condition, label: int
) -> Iterator[tuple[float, str, str, float, float, float]]:
    for part in parts:
        scores = zip(part.scores[CLEAN], part.scores[condition])
        decisions = zip(part.decisions[CLEAN], part.decisions[condition])
        for image, (before, after), (was, now) in zip(part.images, scores, decisions):
            if image["label"] == label and before == before and after == after and was != now and now == (label == 0):
                yield abs(after - before), part.name, image["image"], float(before), float(after), part.threshold
