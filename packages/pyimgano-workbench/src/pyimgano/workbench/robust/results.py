"""What the scores say: every condition by category and on average, each against the images as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from pyimgano.workbench.compare.comparison import FEW, image_differences
from pyimgano.workbench.compare.difference import Difference, judged
from pyimgano.workbench.compare.paired import PairedCategory, mean_of
from pyimgano.workbench.evaluate import Metric
from pyimgano.workbench.evaluate.decisions import rates_of
from pyimgano.workbench.evaluate.images import auroc_metric
from pyimgano.workbench.robust.conditions import CLEAN, Condition
from pyimgano.workbench.robust.folder import RobustFolder
from pyimgano.workbench.robust.levels import mean_levels
from pyimgano.workbench.robust.resamples import RESAMPLES
from pyimgano.workbench.robust.scores import CategoryScores, load_scores
from pyimgano.workbench.robust.summary import Summary, summarise

__all__ = ["METRICS", "ConditionResult", "Robustness", "evaluate_measured", "mean_difference"]

ROBUSTNESS_SCHEMA = 1
METRICS = ("overkill", "recall", "image_auroc")

ERRORS_LISTED = 100


@dataclass(frozen=True)
class ConditionResult:
    """What one condition does, in one category or on average over all.

    Attributes
    ----------
    n_good, n_defective, errors : int
        Images with a score, and images without.
    levels : dict of str to Metric
        ``overkill``, ``recall``, ``image_auroc`` under this condition, with intervals.
    changes : dict of str to Difference
        The same minus what they are without drift, on the images that have a score in both; empty for
        :data:`~pyimgano.workbench.robust.conditions.CLEAN`.
    """

    n_good: int
    n_defective: int
    errors: int
    levels: dict[str, Metric]
    changes: dict[str, Difference]

    @property
    def balanced_accuracy(self) -> Optional[float]:
        """(1 - overkill + recall) / 2, or None."""
        overkill, recall = self.levels["overkill"].value, self.levels["recall"].value
        return None if overkill is None or recall is None else (1.0 - overkill + recall) / 2.0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "n_good": self.n_good,
            "n_defective": self.n_defective,
            "errors": self.errors,
            "balanced_accuracy": self.balanced_accuracy,
            "levels": {name: metric.to_json() for name, metric in self.levels.items()},
            "changes": {name: change.to_json() for name, change in self.changes.items()},
        }


@dataclass(frozen=True)
class Robustness:
    """All results of one run.

    Attributes
    ----------
    plan : mapping
        What was measured, see :meth:`~pyimgano.workbench.robust.subject.Subject.plan`.
    conditions : list of Condition
        Without the clean one.
    results : dict of Condition to dict of (str or None) to ConditionResult
        By category; None is the average over the categories (or the only one).
    summary : Summary
        The headline.
    errors : list of dict
        ``{"drift", "severity", "category", "image", "error"}``, all.
    notes : list of str
        What a reader should know.
    """

    plan: Mapping[str, Any]
    conditions: list[Condition]
    results: dict[Condition, dict[Optional[str], ConditionResult]]
    summary: Summary
    errors: list[dict[str, Any]]
    notes: list[str]

    @property
    def categories(self) -> list[str]:
        """The categories."""
        return list(self.plan["categories"])

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping; its schema is ``pyimgano schema robustness``."""
        drifts = dict.fromkeys(condition.drift for condition in self.conditions)
        plan = self.plan
        return {
            "schema_version": ROBUSTNESS_SCHEMA,
            "version": plan["version"],
            "run": plan["run"],
            "dataset": plan["dataset"],
            "own_images": plan["own_images"],
            "seed": plan["seed"],
            "limit": plan["limit"],
            "resamples": RESAMPLES,
            "drifts": list(drifts),
            "severities": sorted({condition.severity for condition in self.conditions}),
            "categories": [
                {
                    "name": name,
                    "threshold": part["threshold"],
                    "fingerprint": part["fingerprint"],
                    "n_good": sum(image["label"] == 0 for image in part["images"]),
                    "n_defective": sum(image["label"] == 1 for image in part["images"]),
                }
                for name, part in plan["categories"].items()
            ],
            "summary": self.summary.to_json(),
            "conditions": [
                {
                    **condition.to_json(),
                    **by_category[None].to_json(),
                    "categories": {name: result.to_json() for name, result in by_category.items() if name is not None},
                }
                for condition, by_category in self.results.items()
            ],
            "n_errors": len(self.errors),
            "errors": self.errors[:ERRORS_LISTED],
            "notes": self.notes,
        }


def evaluate_measured(
    folder: RobustFolder, conditions: Sequence[Condition], *, notes: Sequence[str] = ()
) -> Robustness:
    """Evaluate what a folder has measured.

    Parameters
    ----------
    folder : RobustFolder
        With the clean condition and all of ``conditions``.
    conditions : sequence of Condition
        Without the clean one.
    notes : sequence of str
        What a reader should know.

    Raises
    ------
    RunError
        When a file is missing or damaged.
    """
    assert folder.plan is not None
    parts = load_scores(folder, conditions)
    seed = int(folder.plan["seed"])
    everything = [CLEAN, *conditions]
    single = {condition: {part.name: _category(part, condition, seed) for part in parts} for condition in everything}
    results: dict[Condition, dict[Optional[str], ConditionResult]] = {}
    means = mean_levels(parts, everything, seed) if len(parts) > 1 else {}
    for condition, by_category in single.items():
        alone = next(iter(by_category.values()))[0]
        mean = _mean(list(by_category.values()), means[condition]) if means else alone
        results[condition] = {None: mean, **{name: result for name, (result, _) in by_category.items()}}
    errors = [
        {**condition.to_json(), "category": part.name, **error}
        for condition in everything
        for part in parts
        for error in part.errors[condition]
    ]
    overall = {condition: by_category[None] for condition, by_category in results.items()}
    return Robustness(
        folder.plan,
        list(conditions),
        results,
        summarise(parts, conditions, seed, overall),
        errors,
        [*notes, *_notes(parts, errors)],
    )


def _category(part: CategoryScores, condition: Condition, seed: int) -> tuple[ConditionResult, PairedCategory]:
    scored = part.scored(condition)
    labels = part.labels[scored]
    scores = part.scores[condition][scored]
    rejected, defective = part.decisions[condition][scored], labels == 1
    decided = rates_of(
        {
            "rejected_defective": int((rejected & defective).sum()),
            "rejected_good": int((rejected & ~defective).sum()),
            "passed_good": int((~rejected & ~defective).sum()),
            "passed_defective": int((~rejected & defective).sum()),
        }
    )
    levels = {
        "overkill": _told(decided["overkill"], part, 0, "good"),
        "recall": _told(decided["recall"], part, 1, "defective"),
        "image_auroc": auroc_metric(scores[labels == 1], scores[labels == 0]),
    }
    paired = PairedCategory()
    if condition != CLEAN:
        both = scored & part.scored(CLEAN)
        pairs = list(zip(part.records(CLEAN, both), part.records(condition, both)))
        paired = image_differences(pairs, METRICS, seed=seed, resamples=RESAMPLES, category=part.name)
        paired.differences = {name: paired.differences[name] for name in METRICS}
    n_good = int((labels == 0).sum())
    result = ConditionResult(n_good, len(labels) - n_good, int((~scored).sum()), levels, paired.differences)
    return result, paired


def _told(metric: Metric, part: CategoryScores, label: int, kind: str) -> Metric:
    """Say why there is no value, where it is not for want of images."""
    if metric.value is None and (part.labels == label).any():
        return Metric.undefined(f"no {kind} image has a score", **dict(metric.n))
    return metric


def _mean(parts: Sequence[tuple[ConditionResult, PairedCategory]], levels: dict[str, Metric]) -> ConditionResult:
    alone = [result for result, _ in parts]
    changes = {name: mean_difference(name, [paired for _, paired in parts]) for name in alone[0].changes}
    return ConditionResult(
        sum(result.n_good for result in alone),
        sum(result.n_defective for result in alone),
        sum(result.errors for result in alone),
        levels,
        changes,
    )


def mean_difference(name: str, parts: Sequence[PairedCategory]) -> Difference:
    """Return the difference of a metric's mean over the categories in which it is defined; that of the only one."""
    if len(parts) == 1:
        return parts[0].differences[name]
    known = [part for part in parts if part.differences[name].difference is not None]
    if known:
        return mean_of(name, known, of=len(parts))
    reasons = sorted({str(part.differences[name].reason) for part in parts})
    return judged(name, None, None, {"categories": 0}, reason="; ".join(reasons))


def _notes(parts: Sequence[CategoryScores], errors: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    few = min(int((part.labels == label).sum()) for part in parts for label in (0, 1) if (part.labels == label).any())
    if few < FEW:
        notes.append(f"as few as {few} good or defective images: the intervals are wide and rough")
    if errors:
        notes.append(f"{len(errors)} scores are missing because an image could not be read, drifted or scored")
    return notes
