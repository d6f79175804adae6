"""Two runs under the same drift: on the same drifted images, at their own thresholds and at equal recall without drift.

Two frozen thresholds rarely stand at the same point: a run that rejects less of everything has less overkill under
drift and is no better for it. So both are also compared at thresholds that find equally many defective images without
drift: in each category k, the number that A's frozen threshold finds; each run gets the highest threshold that still
finds k of the clean defective images. That is a diagnosis on the test images, not a threshold for a line. A resample of
the images chooses its thresholds anew, so the intervals hold what the choice costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.compare.comparison import image_differences
from pyimgano.workbench.compare.difference import Difference, judged
from pyimgano.workbench.compare.paired import PairedCategory, bootstrap_interval
from pyimgano.workbench.robust.conditions import CLEAN, Condition
from pyimgano.workbench.robust.folder import RobustFolder
from pyimgano.workbench.robust.resamples import RESAMPLES, drawn_weights, rates, rates_above
from pyimgano.workbench.robust.results import METRICS, mean_difference
from pyimgano.workbench.robust.scores import CategoryScores, load_scores

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RobustComparison", "common_conditions", "compare_measured"]

RATES = ("overkill", "recall")
"""By label: of good images, of defective ones."""


@dataclass(frozen=True)
class RobustComparison:
    """Run B against run A under drift; differences are B minus A.

    Attributes
    ----------
    a, b : mapping
        ``{"name", "model", "fingerprint"}`` of the runs.
    clean : dict of str to Difference
        At the frozen thresholds, without drift.
    frozen, matched : dict of str to Difference
        ``overkill`` and ``recall``, means over the conditions: at the frozen thresholds, and at equal clean recall.
    matching : list of mapping
        Per category: ``k`` of ``n`` clean defective images that are found, and the thresholds of both.
    conditions : list of (Condition, dict, dict)
        The same of each condition: at the frozen thresholds with the AUROC, and at equal clean recall.
    notes : list of str
        What a reader should know.
    """

    a: Mapping[str, Any]
    b: Mapping[str, Any]
    clean: dict[str, Difference]
    frozen: dict[str, Difference]
    matched: dict[str, Difference]
    matching: list[dict[str, Any]]
    conditions: list[tuple[Condition, dict[str, Difference], dict[str, Difference]]]
    notes: list[str]

    @property
    def answer(self) -> list[str]:
        """Whether B rejects fewer good images under drift at equal recall, in sentences."""
        where = "at equal recall without drift"
        return [
            _sentence("overkill under drift", self.matched["overkill"], where),
            _sentence("recall under drift", self.matched["recall"], where),
            _sentence("overkill under drift", self.frozen["overkill"], "at the frozen thresholds"),
            _sentence("recall under drift", self.frozen["recall"], "at the frozen thresholds"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""

        def plain(found: Mapping[str, Difference]) -> dict[str, Any]:
            return {name: difference.to_json() for name, difference in found.items()}

        return {
            "a": dict(self.a),
            "b": dict(self.b),
            "answer": self.answer,
            "clean": plain(self.clean),
            "frozen": plain(self.frozen),
            "matched": plain(self.matched),
            "matching": self.matching,
            "conditions": [
                {**condition.to_json(), "frozen": plain(frozen), "matched": plain(matched)}
                for condition, frozen, matched in self.conditions
            ],
            "notes": self.notes,
        }


def compare_measured(a: RobustFolder, b: RobustFolder, conditions: Sequence[Condition]) -> RobustComparison:
    """Compare what two folders have measured.

    Parameters
    ----------
    a, b : RobustFolder
        The same images with the same seed; differences are B minus A.
    conditions : sequence of Condition
        Without the clean one; those that A lacks are left out.

    Raises
    ------
    ConfigError
        When the folders are not about the same drifted images, or have no condition in common.
    RunError
        When a file is missing or damaged.
    """
    shared = common_conditions(a, b, conditions)
    notes = []
    if len(shared) < len(conditions):
        absent = [condition.name for condition in conditions if condition not in shared]
        shown = ", ".join(absent[:3]) + (" …" if len(absent) > 3 else "")
        notes.append(f"{len(absent)} conditions are not compared, since A has not measured them: {shown}")
    assert a.plan is not None
    assert b.plan is not None
    pairs = list(zip(load_scores(a, shared), load_scores(b, shared)))
    seed = int(b.plan["seed"])
    everything = [CLEAN, *shared]
    draws, matching = _matched_draws(pairs, everything, seed)
    frozen_draws = _frozen_draws(pairs, everything, seed)
    unmatched = [one["category"] for one in matching if one["k"] == 0]
    if unmatched:
        notes.append(f"A finds no defective image without drift in {', '.join(unmatched)}: nothing to match there")
    per_condition = [_frozen(pairs, condition, seed) for condition in everything]
    return RobustComparison(
        a.plan["run"],
        b.plan["run"],
        per_condition[0],
        {name: _of_draws(name, frozen_draws[name], slice(1, None), pairs, len(shared)) for name in RATES},
        {name: _of_draws(name, draws[name], slice(1, None), pairs, len(shared)) for name in RATES},
        matching,
        [
            (
                condition,
                per_condition[index],
                {name: _of_draws(name, draws[name], slice(index, index + 1), pairs, 1) for name in RATES},
            )
            for index, condition in enumerate(shared, 1)
        ],
        notes,
    )


def common_conditions(a: RobustFolder, b: RobustFolder, conditions: Sequence[Condition]) -> list[Condition]:
    """Return those of the conditions that A has measured; refuse what cannot be compared.

    Raises
    ------
    ConfigError
        When the folders are not about the same drifted images, or A has none of the conditions.
    """
    assert a.plan is not None
    assert b.plan is not None
    shared = [condition for condition in conditions if a.has(condition)]
    if not shared or not a.has(CLEAN):
        raise ConfigError("has none of the conditions that are asked for", where=str(a.path))
    differing = []
    for key in ("seed", "limit"):
        if a.plan[key] != b.plan[key]:
            differing.append(f"{key} {a.plan[key]}, not {b.plan[key]}")
    there, here = a.plan["categories"], b.plan["categories"]
    if set(there) != set(here):
        differing.append(f"the categories {', '.join(there)}, not {', '.join(here)}")
    else:
        other = [
            name
            for name in here
            if (there[name]["fingerprint"], there[name]["images"]) != (here[name]["fingerprint"], here[name]["images"])
        ]
        if other:
            differing.append(f"other images of {', '.join(other)}")
    if differing:
        raise ConfigError(
            f"is not about the same drifted images: {'; '.join(differing)}",
            where=str(a.path),
            hint="--compare RUN measures that run on the images of this one",
        )
    return shared


def _frozen(
    pairs: Sequence[tuple[CategoryScores, CategoryScores]], condition: Condition, seed: int
) -> dict[str, Difference]:
    found: list[PairedCategory] = []
    for a, b in pairs:
        both = a.scored(condition) & b.scored(condition)
        records = list(zip(a.records(condition, both), b.records(condition, both)))
        found.append(image_differences(records, METRICS, seed=seed, resamples=RESAMPLES, category=a.name))
    return {name: mean_difference(name, found) for name in METRICS}


_Draws = dict[str, list[tuple["np.ndarray", "np.ndarray"]]]
"""Rate → per category (A, B), (1 + R, conditions) each."""


def _scores(
    a: CategoryScores, b: CategoryScores, conditions: Sequence[Condition], label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of images of a label in both runs; NaN in both where either has none."""
    import numpy as np

    which = a.labels == label
    of_a, of_b = (np.stack([part.scores[condition][which] for condition in conditions]) for part in (a, b))
    missing = ~(np.isfinite(of_a) & np.isfinite(of_b))
    of_a[missing] = np.nan
    of_b[missing] = np.nan
    return of_a, of_b


def _frozen_draws(
    pairs: Sequence[tuple[CategoryScores, CategoryScores]], conditions: Sequence[Condition], seed: int
) -> _Draws:
    found: _Draws = {name: [] for name in RATES}
    for a, b in pairs:
        weights = drawn_weights(a.name, seed, int((a.labels == 0).sum()), int((a.labels == 1).sum()))
        for label, name in enumerate(RATES):
            if weights[label].shape[1]:
                (of_a, in_a), (of_b, in_b) = (part.rejected(conditions, label) for part in (a, b))
                both = in_a & in_b
                found[name].append((rates(weights[label], of_a, both), rates(weights[label], of_b, both)))
    return found


def _matched_draws(
    pairs: Sequence[tuple[CategoryScores, CategoryScores]], conditions: Sequence[Condition], seed: int
) -> tuple[_Draws, list[dict[str, Any]]]:
    found: _Draws = {name: [] for name in RATES}
    matching = []
    for a, b in pairs:
        weights = drawn_weights(a.name, seed, int((a.labels == 0).sum()), int((a.labels == 1).sum()))
        defective = _scores(a, b, conditions, 1)
        known = _known(defective[0][0])
        wanted = (weights[1] * (known & a.decisions[CLEAN][a.labels == 1])).sum(axis=1)
        limits = [_thresholds(scores[0], weights[1], wanted) for scores in defective]
        k = int(wanted[0])
        matching.append(
            {
                "category": a.name,
                "k": k,
                "n": int(known.sum()),
                "threshold_a": float(limits[0][0]) if k else None,
                "threshold_b": float(limits[1][0]) if k else None,
            }
        )
        if not k:
            continue
        for label, name in enumerate(RATES):
            if weights[label].shape[1]:
                scores = defective if label == 1 else _scores(a, b, conditions, 0)
                found[name].append(
                    (
                        rates_above(weights[label], scores[0], limits[0]),
                        rates_above(weights[label], scores[1], limits[1]),
                    )
                )
    return found, matching


def _known(scores: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.isfinite(scores)


def _thresholds(scores: np.ndarray, weights: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return per draw the highest threshold that finds at least ``wanted`` images; NaN where none are wanted."""
    import numpy as np

    if not len(scores):
        return np.full(len(weights), np.nan)
    known = _known(scores)
    order = np.argsort(-scores[known], kind="stable")
    ranked = scores[known][order]
    reached = np.cumsum(weights[:, known][:, order], axis=1)
    first = (reached >= wanted[:, None]).argmax(axis=1)
    return np.where(wanted > 0, ranked[first], np.nan)


def _of_draws(
    name: str,
    draws: Sequence[tuple[np.ndarray, np.ndarray]],
    columns: slice,
    pairs: Sequence[tuple[CategoryScores, CategoryScores]],
    n_conditions: int,
) -> Difference:
    """Return the difference of a rate's mean over categories and some conditions, by the draws that all share."""
    import numpy as np

    kind = "good" if name == "overkill" else "defective"
    label = 0 if name == "overkill" else 1
    n = {kind: sum(int((a.labels == label).sum()) for a, _ in pairs)}
    if n_conditions > 1:
        n = {"conditions": n_conditions, **n}
    if not draws:
        some = "nothing can be matched" if n[kind] else f"no {kind} images"
        return judged(name, None, None, n, reason=some)
    of_a, of_b = (np.mean(np.stack([pair[side][:, columns].mean(axis=1) for pair in draws]), axis=0) for side in (0, 1))
    if not (np.isfinite(of_a[0]) and np.isfinite(of_b[0])):
        return judged(name, None, None, n, reason=f"in a condition no {kind} image has a score in both runs")
    interval, p = bootstrap_interval((of_b - of_a)[1:], confidence=0.95)
    reason = "no interval: every resample of the images gives the same difference" if interval is None else None
    return judged(
        name,
        float(of_a[0]),
        float(of_b[0]),
        n,
        interval=interval,
        interval_method="paired bootstrap",
        p=p,
        p_method="paired bootstrap",
        reason=reason,
    )


def _sentence(what: str, found: Difference, where: str) -> str:
    if found.difference is None or found.a is None or found.b is None:
        return f"{what} {where} is not compared: {found.reason}.".capitalize()
    facts = f"A {100 * found.a:.1f} %, B {100 * found.b:.1f} %, B - A {100 * found.difference:+.1f} points"
    if found.interval is not None:
        facts += f" (95 %: {100 * found.interval[0]:+.1f} … {100 * found.interval[1]:+.1f})"
    verdict = {
        "better": f"B is better in {what} {where}",
        "worse": f"B is worse in {what} {where}",
        "not shown": f"no difference is shown in {what} {where}",
    }.get(found.verdict, f"whether {what} differs {where} is not tested")
    return f"{verdict[0].upper()}{verdict[1:]}: {facts}."
