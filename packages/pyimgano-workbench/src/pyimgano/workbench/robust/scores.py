"""The scores of one category under all conditions, as arrays and as records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.robust.conditions import CLEAN, Condition
from pyimgano.workbench.robust.folder import RobustFolder

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CategoryScores", "load_scores"]


@dataclass(frozen=True, eq=False)
class CategoryScores:
    """One category.

    Attributes
    ----------
    name : str
        The category.
    threshold : float
        The calibrated one: defective is score ≥ threshold.
    images : tuple of mapping
        ``{"image", "label", "defect"}``.
    labels : ndarray, (n,) int
        0 good, 1 defective.
    scores : dict of Condition to ndarray, (n,) float64
        NaN where an image has no score; never given out.
    decisions : dict of Condition to ndarray, (n,) bool
        Which images the run rejects; False where an image has no score.
    errors : dict of Condition to tuple of mapping
        ``{"image", "error"}`` of those.
    """

    name: str
    threshold: float
    images: tuple[Mapping[str, Any], ...]
    labels: np.ndarray
    scores: Mapping[Condition, np.ndarray]
    decisions: Mapping[Condition, np.ndarray]
    errors: Mapping[Condition, tuple[Mapping[str, str], ...]]

    def scored(self, condition: Condition) -> np.ndarray:
        """Return which images have a score under a condition, (n,) bool."""
        import numpy as np

        return np.isfinite(self.scores[condition])

    def records(self, condition: Condition, which: np.ndarray) -> list[PredictionRecord]:
        """Return the records of some images, (n,) bool, with their decision."""
        return [
            PredictionRecord(
                image["image"],
                label=image["label"],
                defect=image["defect"],
                score=float(score),
                threshold=self.threshold,
                decision="defective" if rejected else "good",
            )
            for image, score, rejected, wanted in zip(
                self.images, self.scores[condition], self.decisions[condition], which
            )
            if wanted
        ]

    def rejected(self, conditions: Sequence[Condition], label: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which images of a label are rejected, and which are scored, (conditions, images) bool each."""
        import numpy as np

        which = self.labels == label
        return (
            np.stack([self.decisions[condition][which] for condition in conditions]),
            np.stack([self.scored(condition)[which] for condition in conditions]),
        )


def load_scores(folder: RobustFolder, conditions: Sequence[Condition]) -> list[CategoryScores]:
    """Read what a folder has of some conditions and of the images as they are, by category.

    Raises
    ------
    RunError
        When something is missing or damaged.
    """
    import numpy as np

    assert folder.plan is not None
    all_conditions = [CLEAN, *conditions]
    records = {condition: folder.load(condition) for condition in all_conditions}
    return [
        CategoryScores(
            name,
            float(part["threshold"]),
            tuple(part["images"]),
            np.array([image["label"] for image in part["images"]], dtype=np.int64),
            {
                # None becomes NaN.
                condition: np.array(records[condition][name]["scores"], dtype=np.float64)
                for condition in all_conditions
            },
            {
                condition: np.array([flag is True for flag in records[condition][name]["rejected"]], dtype=bool)
                for condition in all_conditions
            },
            {condition: tuple(records[condition][name]["errors"]) for condition in all_conditions},
        )
        for name, part in folder.plan["categories"].items()
    ]
