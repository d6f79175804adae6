"""Does B beat A? All that the files of two runs say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.seeding import generator
from pyimgano.workbench.compare.difference import Difference, judged
from pyimgano.workbench.compare.differing import config_differences, environment_differences
from pyimgano.workbench.compare.directions import spoken
from pyimgano.workbench.compare.flips import Flip, find_flips
from pyimgano.workbench.compare.matching import MatchedCategory, Matching, match_runs
from pyimgano.workbench.compare.measured import MeasuredRun
from pyimgano.workbench.compare.paired import RATES, PairedCategory, mean_of, paired_metrics, paired_rate
from pyimgano.workbench.compare.resampling import ImageSet, ranked_names
from pyimgano.workbench.records import PredictionRecord

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "COMPARISON_SCHEMA",
    "CategoryComparison",
    "Comparison",
    "compare_category",
    "compare_metric",
    "compare_runs",
]

COMPARISON_SCHEMA = 1
CONFIDENCE = 0.95
FEW = 20
"""With fewer good or defective images, the intervals are rough."""


@dataclass(frozen=True)
class CategoryComparison:
    """One category of both runs.

    Attributes
    ----------
    name : str
        The category.
    matched : MatchedCategory
        Its images.
    paired : PairedCategory
        The differences, with the resamples that they were judged by.
    by_defect : dict
        Kind of defect → ``n`` and metric → Difference.
    """

    name: str
    matched: MatchedCategory
    paired: PairedCategory
    by_defect: dict[str, dict[str, Any]]

    @property
    def metrics(self) -> dict[str, Difference]:
        """Metric → difference."""
        return self.paired.differences

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        labels = [a.label for a, _ in self.matched.pairs]
        return {
            "name": self.name,
            "same_images": self.matched.same and not self.matched.relabelled,
            "n_compared": len(labels),
            "n_good": labels.count(0),
            "n_defective": labels.count(1),
            "only_a": self.matched.only_a,
            "only_b": self.matched.only_b,
            "relabelled": self.matched.relabelled,
            "metrics": {name: difference.to_json() for name, difference in self.metrics.items()},
            "by_defect": {
                defect: {key: value.to_json() if isinstance(value, Difference) else value for key, value in one.items()}
                for defect, one in self.by_defect.items()
            },
        }


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes
    ----------
    a, b : MeasuredRun
        The runs.
    matching : Matching
        What they have in common.
    metrics : dict of str to Difference
        Of the only category, or of the mean over all.
    categories : list of CategoryComparison
        Each by itself.
    flips : list of Flip
        Images whose decision changed.
    seed, resamples
        Of the bootstrap.
    notes : list of str
        What a reader should know before trusting the numbers.
    """

    a: MeasuredRun
    b: MeasuredRun
    matching: Matching
    metrics: dict[str, Difference]
    categories: list[CategoryComparison]
    flips: list[Flip]
    seed: int
    resamples: int
    notes: list[str]

    def verdict(self, metric: str) -> str:
        """Return a sentence on one metric, e.g. ``B is better on image AUROC: +0.012 (95 %: …)``."""
        found = self.metrics[metric]
        name = spoken(metric)
        if found.difference is None:
            return f"{name} is not compared: {found.reason}"
        n = ", ".join(f"{count} {kind}" for kind, count in found.n.items())
        if found.interval is None:
            return f"{name}: {found.difference:+.4f}; whether that is chance is not tested ({found.reason})"
        low, high = found.interval
        facts = f"{found.difference:+.4f} (95 %: {low:+.4f} … {high:+.4f}, p = {found.p:.2g}, n = {n})"
        if found.verdict == "not shown":
            return f"no difference is shown on {name}: {facts}"
        return f"B is {found.verdict} on {name}: {facts}"

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON-friendly mapping; its schema is ``pyimgano schema comparison``."""
        changes = [flip.change for flip in self.flips]
        parts = self.matching.categories
        return {
            "schema_version": COMPARISON_SCHEMA,
            "a": self.a.facts(),
            "b": self.b.facts(),
            "same_images": self.matching.same,
            "n_compared": sum(len(part.pairs) for part in parts),
            "only_a": {"categories": self.matching.only_a, "images": sum(len(part.only_a) for part in parts)},
            "only_b": {"categories": self.matching.only_b, "images": sum(len(part.only_b) for part in parts)},
            "seed": self.seed,
            "resamples": self.resamples,
            "verdicts": {name: self.verdict(name) for name in HEADLINES if name in self.metrics},
            "metrics": {name: difference.to_json() for name, difference in self.metrics.items()},
            "categories": [part.to_json() for part in self.categories],
            "flip_counts": {change: changes.count(change) for change in ("worse", "better", "changed")},
            "flips": [flip.to_json() for flip in self.flips],
            "errors": [error for part in parts for error in part.errors],
            "config": config_differences(self.a.config, self.b.config),
            "environment": environment_differences(self.a.environment, self.b.environment),
            "notes": self.notes,
        }


HEADLINES = ("image_auroc", "overkill", "escape")
"""Metrics that the comparison puts into sentences."""


def compare_runs(
    a: MeasuredRun, b: MeasuredRun, *, allow_different: bool = False, seed: int = 0, resamples: int = 2000
) -> Comparison:
    """Compare two runs by their files.

    Parameters
    ----------
    a, b : MeasuredRun
        See :func:`~pyimgano.workbench.compare.measured.measured_run`; differences are B minus A.
    allow_different : bool
        Whether runs of different test images are compared on those that they have in common.
    seed : int
        Of the bootstrap's resamples: the same seed gives the same intervals.
    resamples : int
        How many.

    Raises
    ------
    ConfigError
        When the runs were tested on different images and ``allow_different`` is false, or have nothing in common.
    RunError
        When a run is damaged.
    """
    matching = match_runs(a, b, allow_different=allow_different)
    names = list(dict.fromkeys([*a.metric_names(), *b.metric_names()]))
    parts = [
        compare_category(part, names, seed=seed, resamples=resamples) for part in matching.categories if part.pairs
    ]
    return Comparison(
        a,
        b,
        matching,
        metrics=_overall(parts, names),
        categories=parts,
        flips=find_flips(matching.categories),
        seed=seed,
        resamples=resamples,
        notes=_notes(matching, parts),
    )


def compare_metric(a: MeasuredRun, b: MeasuredRun, metric: str, *, seed: int, resamples: int) -> Optional[Difference]:
    """Compare one metric of two runs of the same test images; None where no image was scored by both."""
    matching = match_runs(a, b, allow_different=True)
    parts = [
        compare_category(part, [metric], seed=seed, resamples=resamples, defects=False)
        for part in matching.categories
        if part.pairs
    ]
    return _overall(parts, [metric]).get(metric)


def compare_category(
    part: MatchedCategory, names: Sequence[str], *, seed: int, resamples: int, defects: bool = True
) -> CategoryComparison:
    """Compare one category.

    Parameters
    ----------
    names : sequence of str
        Metrics. Those of images are computed on the images that both runs scored; the rest are the reports'.
    defects : bool
        Whether the kinds of defects are compared, too.
    """
    pairs = part.pairs
    found = PairedCategory()
    if _is_judged(pairs):
        found = image_differences(pairs, names, seed=seed, resamples=resamples, category=part.name)
    else:  # no labels, or a recipe of its own kind
        names = [name for name in names if name not in RATES and name not in ranked_names(names)]
    for name in names:
        if name not in found.differences:
            found.differences[name] = _reported(name, part.a.metrics.get(name), part.b.metrics.get(name), part)
    found.differences = {name: found.differences[name] for name in names}
    by_defect = _by_defect(part, seed, resamples) if defects else {}
    return CategoryComparison(part.name, part, found, by_defect)


def _is_judged(pairs: Sequence[tuple[PredictionRecord, PredictionRecord]]) -> bool:
    return any(a.label is not None for a, _ in pairs)


def image_differences(
    pairs: Sequence[tuple[PredictionRecord, PredictionRecord]],
    names: Sequence[str],
    *,
    seed: int,
    resamples: int,
    category: str,
) -> PairedCategory:
    """Compare two models by their records of the same images.

    Parameters
    ----------
    pairs : sequence of (PredictionRecord, PredictionRecord)
        A's and B's record of each image that both scored, with its label.
    names : sequence of str
        Metrics; those that records do not suffice for are left out.
    seed, resamples : int
        Of the bootstrap.
    category : str
        Decides, with the seed, on the resamples.
    """
    good = [pair for pair in pairs if pair[0].label == 0]
    defective = [pair for pair in pairs if pair[0].label == 1]
    ranked = ranked_names(names)
    n = {"good": len(good), "defective": len(defective)}
    if good and defective:
        a, b = (_image_set(good, defective, side) for side in (0, 1))
        rng = generator(seed, "compare", category)
        found = paired_metrics(a, b, ranked, rng, resamples=resamples, confidence=CONFIDENCE)
        if "image_auroc" in found.differences:
            auroc = found.differences["image_auroc"]
            found.differences["image_auroc"] = replace(auroc, facts={**auroc.facts, "delong": _delong(a, b)})
    else:
        found = PairedCategory()
        missing = " and ".join(f"no {kind}" for kind, count in n.items() if not count)
        for name in ranked:
            found.differences[name] = judged(name, None, None, n, reason=f"{missing} images to compare on")
    for name in RATES:
        if name in names:
            found.differences[name] = _rate(name, good, defective)
            difference = found.differences[name]
            if difference.difference is not None:
                found.flips[name] = (
                    difference.facts["only_b"],
                    difference.facts["only_a"],
                    next(iter(difference.n.values())),
                )
    return found


def _image_set(
    good: Sequence[tuple[PredictionRecord, PredictionRecord]],
    defective: Sequence[tuple[PredictionRecord, PredictionRecord]],
    side: int,
) -> ImageSet:
    import numpy as np

    def scores(pairs: Sequence[tuple[PredictionRecord, PredictionRecord]]) -> np.ndarray:
        return np.array([pair[side].score for pair in pairs], dtype=np.float64)

    return ImageSet(
        scores(good), scores(defective), _decided(good, side, "defective"), _decided(defective, side, "defective")
    )


def _decided(pairs: Sequence[tuple[PredictionRecord, PredictionRecord]], side: int, decision: str) -> np.ndarray:
    import numpy as np

    return np.array([pair[side].decision == decision for pair in pairs], dtype=bool)


_COUNTED = {
    "overkill": (0, "defective"),
    "escape": (1, "good"),
    "recall": (1, "defective"),
    "review_good": (0, "review"),
    "review_defective": (1, "review"),
}
"""Rate → (label, decision) of the images that count."""


def _rate(
    name: str,
    good: Sequence[tuple[PredictionRecord, PredictionRecord]],
    defective: Sequence[tuple[PredictionRecord, PredictionRecord]],
) -> Difference:
    label, decision = _COUNTED[name]
    pairs, kind = (good, "good") if label == 0 else (defective, "defective")
    if not pairs:
        return judged(name, None, None, {kind: 0}, reason=f"no {kind} images to compare on")
    return paired_rate(name, _decided(pairs, 0, decision), _decided(pairs, 1, decision), kind, confidence=CONFIDENCE)


def _delong(a: ImageSet, b: ImageSet) -> Optional[dict[str, Any]]:
    import numpy as np

    from pyimgano.workbench.evaluate import delong_difference

    labels = np.concatenate([np.zeros(len(a.good), dtype=int), np.ones(len(a.defective), dtype=int)])
    of_a, of_b = (np.concatenate([side.good, side.defective]) for side in (a, b))
    found = delong_difference(of_b, of_a, labels, confidence=CONFIDENCE)  # the first minus the second
    return {"interval": None if found.interval is None else list(found.interval), "p": found.p}


def _reported(
    name: str, a: Optional[Mapping[str, Any]], b: Optional[Mapping[str, Any]], part: MatchedCategory
) -> Difference:
    """Return the difference of two values in the reports, for metrics that the records do not suffice for."""
    value_a, value_b = (None if metric is None else metric["value"] for metric in (a, b))
    n = dict(a["n"]) if a is not None else dict(b["n"]) if b is not None else {}
    reason = _incomparable(a, b, part)
    if reason is not None:
        return replace(judged(name, value_a, value_b, n, reason=reason), difference=None, verdict="not compared")
    kept = "per-pixel data" if name.startswith("pixel_") else "per-image values of it"
    return judged(name, value_a, value_b, n, reason=f"no interval: a run keeps no {kept}")


def _incomparable(
    a: Optional[Mapping[str, Any]], b: Optional[Mapping[str, Any]], part: MatchedCategory
) -> Optional[str]:
    if a is None or b is None:
        return f"run {'A' if a is None else 'B'} does not have it"
    undefined = [(side, metric.get("reason")) for side, metric in (("A", a), ("B", b)) if metric["value"] is None]
    if undefined:
        return "; ".join(f"not defined in {side}: {reason or 'no reason given'}" for side, reason in undefined)
    if a.get("limit") != b.get("limit"):
        return f"the limits differ: {a.get('limit')} and {b.get('limit')}"
    if a.get("inside") != b.get("inside"):
        return f"of other pixels: {a.get('inside', 'all')} and {b.get('inside', 'all')}"
    if not part.same or part.relabelled:
        return "the test images differ, and a run keeps no per-pixel data"
    if a["n"] != b["n"]:
        return f"counted on different images: {dict(a['n'])} and {dict(b['n'])}"
    return None


def _by_defect(part: MatchedCategory, seed: int, resamples: int) -> dict[str, dict[str, Any]]:
    good = [pair for pair in part.pairs if pair[0].label == 0]
    defects = sorted({str(a.defect) for a, _ in part.pairs if a.label == 1 and a.defect is not None})
    found: dict[str, dict[str, Any]] = {}
    for defect in defects:
        own = [pair for pair in part.pairs if pair[0].label == 1 and pair[0].defect == defect]
        one: dict[str, Any] = {
            "n": len(own),
            "recall": _rate("recall", good, own),
            "escape": _rate("escape", good, own),
        }
        if good:
            a, b = (_image_set(good, own, side) for side in (0, 1))
            rng = generator(seed, "compare", part.name, defect)
            paired = paired_metrics(a, b, ["image_auroc"], rng, resamples=resamples, confidence=CONFIDENCE)
            one["image_auroc"] = paired.differences["image_auroc"]
        reports = [(category.report.get("by_defect") or {}).get(defect) or {} for category in (part.a, part.b)]
        for name in dict.fromkeys([*reports[0], *reports[1]]):
            if name not in one and isinstance((reports[0].get(name) or reports[1].get(name)), Mapping):
                one[name] = _reported(name, reports[0].get(name), reports[1].get(name), part)
        found[defect] = one
    return found


def _overall(parts: Sequence[CategoryComparison], names: Sequence[str]) -> dict[str, Difference]:
    if len(parts) == 1:
        return parts[0].metrics
    found = {}
    for name in names:
        having = [part.paired for part in parts if name in part.metrics]
        known = [paired for paired in having if paired.differences[name].difference is not None]
        if known:
            found[name] = mean_of(name, known, of=len(parts), confidence=CONFIDENCE)
        elif having:
            reasons = sorted({str(paired.differences[name].reason) for paired in having})
            found[name] = judged(name, None, None, {"categories": 0}, reason="; ".join(reasons))
    return found


def _notes(matching: Matching, parts: Sequence[CategoryComparison]) -> list[str]:
    notes = []
    if not matching.same:
        common = sum(len(part.pairs) for part in matching.categories)
        notes.append(f"the runs were tested on different images: compared are the {common} that both scored")
    for part in matching.categories:
        if not part.same and not (part.only_a or part.only_b):
            notes.append(
                f"{part.name}: the images have the same names but other contents; what is compared is not sure"
            )
        if part.relabelled:
            notes.append(f"{part.name}: {len(part.relabelled)} images with different labels are left out")
    errors = [error for part in matching.categories for error in part.errors]
    if errors:
        counts = [sum(error[side] is not None for error in errors) for side in ("a", "b")]
        notes.append(
            f"{len(errors)} images are left out because a run has no score for them (A {counts[0]}, B {counts[1]})"
        )
    labels = {part.name: [a.label for a, _ in part.matched.pairs] for part in parts}
    few = {
        name: least
        for name, values in labels.items()
        if 0 < (least := min((values.count(label) for label in (0, 1) if label in values), default=0)) < FEW
    }
    if few:
        which = "" if len(labels) == 1 else f" in {', '.join(few)}"
        notes.append(f"as few as {min(few.values())} good or defective images{which}: the intervals are rough")
    for category in parts:
        known = [a.group for a, _ in category.matched.pairs]
        groups = [group for group in known if group is not None]
        if len(set(groups)) < len(groups):
            notes.append(
                f"{category.name}: images share groups; the intervals take them as independent and are too narrow"
            )
    return notes
