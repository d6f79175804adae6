"""What the image scores of a category's test set are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyimgano.core.contracts import Sample
from pyimgano.workbench.calibrate import CalibrationCard
from pyimgano.workbench.evaluate import (
    Metric,
    by_defect,
    by_group,
    confusion,
    decision_metrics,
    image_curves,
    image_metrics,
)
from pyimgano.workbench.records import PredictionRecord

if TYPE_CHECKING:
    from pyimgano.workbench.config import EvaluationConfig

__all__ = ["ImageEvaluation", "evaluate_images"]


@dataclass(frozen=True)
class ImageEvaluation:
    """Image-level results of one category.

    Attributes
    ----------
    metrics : dict of str to Metric
        Over all labelled and scored test images.
    confusion : dict of str to int
        What the calibrated thresholds do with them.
    by_defect : dict
        Kind of defect → JSON-friendly results of its images against all good ones.
    by_group : dict
        Group → JSON-friendly results of its images; empty where the samples have no groups.
    curves : dict
        ``"roc"`` and ``"pr"``: lists of [x, y, threshold], thinned; empty where not defined.
    """

    metrics: dict[str, Metric]
    confusion: dict[str, int]
    by_defect: dict[str, Any] = field(default_factory=dict)
    by_group: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)


def evaluate_images(
    config: EvaluationConfig, samples: Sequence[Sample], records: Sequence[PredictionRecord], card: CalibrationCard
) -> ImageEvaluation:
    """Measure the image scores, and what was decided: the records' own decisions are counted.

    Parameters
    ----------
    samples, records : sequence
        The test images and their records, in the same order.
    """
    import numpy as np

    judged = [
        (sample, record)
        for sample, record in zip(samples, records)
        if record.score is not None and record.label is not None
    ]
    scores = np.array([record.score for _, record in judged], dtype=np.float64)
    labels = np.array([record.label for _, record in judged], dtype=np.int64)
    decisions = [str(record.decision) for _, record in judged]
    threshold, review = card.threshold, card.review_threshold
    metrics = {
        **image_metrics(scores, labels, recall_at_fpr=config.recall_at_fpr, fpr_at_recall=config.fpr_at_recall),
        **decision_metrics(scores, labels, threshold, review_threshold=review, decisions=decisions),
    }
    return ImageEvaluation(
        metrics,
        confusion(scores, labels, threshold, review_threshold=review, decisions=decisions),
        by_defect=_plain(
            by_defect(
                scores,
                labels,
                [record.defect for _, record in judged],
                threshold,
                review_threshold=review,
                decisions=decisions,
            )
        ),
        by_group=_plain(
            by_group(
                scores,
                labels,
                [sample.group for sample, _ in judged],
                threshold,
                review_threshold=review,
                decisions=decisions,
            )
        ),
        curves=image_curves(scores, labels),
    )


def _plain(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the same with metrics as JSON-friendly mappings."""
    return {
        name: {key: value.to_json() if isinstance(value, Metric) else value for key, value in row.items()}
        for name, row in results.items()
    }
