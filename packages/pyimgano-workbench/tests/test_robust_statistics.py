"""What a robustness benchmark says of scores that are known: by hand, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import pytest

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.robust import CLEAN, Condition, RobustFolder, compare_measured, evaluate_measured
from pyimgano.workbench.robust.resamples import RESAMPLES, drawn_weights, rates, rates_above

Scores = Mapping[Condition, Sequence[Optional[float]]]
DRIFTS = [Condition("fog", 1), Condition("fog", 2)]


def measured(path: Path, labels: Sequence[int], parts: Mapping[str, tuple[float, Scores]]) -> RobustFolder:
    """Make the folder of a benchmark: category → (threshold, condition → scores)."""
    images = [
        {"image": f"{index}.png", "label": label, "defect": "dent" if label else None}
        for index, label in enumerate(labels)
    ]
    folder = RobustFolder(path)
    folder.begin(
        {
            "version": "0",
            "run": {"name": path.name, "model": "made up", "fingerprint": path.name},
            "dataset": "made up",
            "own_images": True,
            "seed": 0,
            "limit": None,
            "categories": {
                name: {"threshold": threshold, "fingerprint": name, "images": images}
                for name, (threshold, _) in parts.items()
            },
        }
    )
    for condition in next(iter(parts.values()))[1]:
        found = {}
        for name, (threshold, scores) in parts.items():
            errors = [
                {"image": images[index]["image"], "error": "ImageError: gone"}
                for index, score in enumerate(scores[condition])
                if score is None
            ]
            rejected = [None if score is None else score >= threshold for score in scores[condition]]
            found[name] = {"scores": list(scores[condition]), "rejected": rejected, "errors": errors}
        folder.add(condition, found)
    return folder


def test_the_summary_is_the_mean_over_the_conditions_against_no_drift(tmp_path: Path) -> None:
    labels = [0, 0, 0, 0] * 5 + [1, 1] * 5
    scores = {
        CLEAN: [0.1, 0.1, 0.1, 0.9] * 5 + [0.9, 0.9] * 5,  # overkill 1/4, recall 2/2
        DRIFTS[0]: [0.9, 0.1, 0.1, 0.9] * 5 + [0.9, 0.9] * 5,  # 2/4, 2/2
        DRIFTS[1]: [0.9, 0.9, 0.9, 0.1] * 5 + [0.9, 0.1] * 5,  # 3/4, 1/2
    }
    found = evaluate_measured(measured(tmp_path / "run", labels, {"default": (0.5, scores)}), DRIFTS)
    summary = found.summary.metrics
    assert summary["overkill_gained"].value == pytest.approx((2 / 4 + 3 / 4) / 2 - 1 / 4)
    assert summary["recall_lost"].value == pytest.approx(1.0 - 0.75)
    assert summary["balanced_accuracy_lost"].value == pytest.approx((0.375 + 0.25) / 2)
    assert summary["retained"].value == pytest.approx(((1 - 0.5) + (0.5 - 0.75)) / 2 / (1 - 0.25))
    assert found.summary.worst is not None
    assert (found.summary.worst["drift"], found.summary.worst["severity"]) == ("fog", 2)
    assert found.summary.worst["balanced_accuracy"] == pytest.approx((1 - 0.75 + 0.5) / 2)
    change = found.results[DRIFTS[1]][None].changes["overkill"]
    assert (change.facts["only_b"], change.facts["only_a"]) == (15, 5)
    assert change.difference == pytest.approx(0.5)
    for metric in summary.values():
        if metric.value is not None and "interval" in metric.facts:
            assert metric.facts["interval"][0] < metric.value < metric.facts["interval"][1]
    assert "interval" in summary["retained"].facts


def test_images_without_a_score_take_part_in_no_rate_and_in_no_pair(tmp_path: Path) -> None:
    labels = [0, 0, 0, 1, 1]
    scores: Scores = {
        CLEAN: [None, 0.1, 0.9, 0.9, 0.9],
        DRIFTS[0]: [0.9, None, 0.9, 0.9, 0.1],
        DRIFTS[1]: [None, None, None, 0.9, 0.9],
    }
    found = evaluate_measured(measured(tmp_path / "run", labels, {"default": (0.5, scores)}), DRIFTS)
    first = found.results[DRIFTS[0]][None]
    assert first.levels["overkill"].value == 1.0
    assert first.levels["overkill"].n == {"good": 2}
    assert first.changes["overkill"].n == {"good": 1}
    assert first.changes["overkill"].difference == 0.0
    second = found.results[DRIFTS[1]][None]
    assert second.levels["overkill"].value is None
    assert second.levels["overkill"].reason == "no good image has a score"
    assert second.changes["overkill"].difference is None
    assert found.summary.metrics["overkill_gained"].value is None
    assert found.summary.metrics["recall_lost"].value == pytest.approx((0.5 + 0.0) / 2)
    assert len(found.errors) == 5


@pytest.mark.parametrize("clean", [[0.9, 0.9, 0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.1, 0.9, 0.9, 0.1]])
def test_a_threshold_that_is_not_shown_to_be_worth_anything_has_nothing_to_retain(
    tmp_path: Path, clean: list[float]
) -> None:
    scores = {CLEAN: clean, **{drift: [0.1, 0.1, 0.1, 0.9, 0.9, 0.9] for drift in DRIFTS}}
    found = evaluate_measured(measured(tmp_path / "run", [0, 0, 0, 1, 1, 1], {"default": (0.5, scores)}), DRIFTS)
    retained = found.summary.metrics["retained"]
    assert retained.value is None
    assert "not shown to decide better than one that rejects all or none" in str(retained.reason)


def noisy(rng: np.random.Generator, n: int, m: int, *, shift: float, gap: float) -> dict[Condition, list[float]]:
    """Scores of n good and m defective images; drift moves the good ones up."""
    good, defective = rng.normal(0.0, 1.0, n), rng.normal(gap, 1.0, m)
    return {
        CLEAN: [*good, *defective],
        **{
            condition: [
                *(good + condition.severity * shift + rng.normal(0, 0.2, n)),
                *(defective + condition.severity * shift + rng.normal(0, 0.2, m)),
            ]
            for condition in DRIFTS
        },
    }


LABELS = [0] * 150 + [1] * 150


def test_a_higher_threshold_alone_is_no_robustness(tmp_path: Path) -> None:
    scores = noisy(np.random.default_rng(0), 150, 150, shift=0.5, gap=4.0)
    a = measured(tmp_path / "a", LABELS, {"default": (2.0, scores)})
    b = measured(tmp_path / "b", LABELS, {"default": (3.0, scores)})
    found = compare_measured(a, b, DRIFTS)
    assert found.frozen["overkill"].verdict == "better"
    assert found.frozen["recall"].verdict == "worse"
    assert found.matched["overkill"].difference == 0.0
    assert found.matched["recall"].difference == 0.0
    assert found.matching[0]["threshold_a"] == found.matching[0]["threshold_b"]
    assert found.answer[2].startswith("B is better in overkill under drift at the frozen thresholds: A ")


def test_fewer_false_rejects_at_equal_recall_are_found_whatever_the_scale_of_the_scores(tmp_path: Path) -> None:
    plain = noisy(np.random.default_rng(0), 150, 150, shift=1.0, gap=3.0)
    steady = noisy(np.random.default_rng(0), 150, 150, shift=0.1, gap=3.0)
    scaled = {condition: [100.0 * score + 7.0 for score in scores] for condition, scores in steady.items()}
    a = measured(tmp_path / "a", LABELS, {"default": (1.6, plain)})
    b = measured(tmp_path / "b", LABELS, {"default": (500.0, scaled)})  # a threshold that is far off
    found = compare_measured(a, b, DRIFTS)
    k = sum(score >= 1.6 for score in plain[CLEAN][150:])
    assert found.matching == [
        {
            "category": "default",
            "k": k,
            "n": 150,
            "threshold_a": sorted(plain[CLEAN][150:])[-k],
            "threshold_b": sorted(scaled[CLEAN][150:])[-k],
        }
    ]
    overkill = found.matched["overkill"]
    assert overkill.verdict == "better"
    limit = found.matching[0]["threshold_b"]
    by_hand = np.mean([[score >= limit for score in scaled[one][:150]] for one in DRIFTS])
    assert overkill.b == pytest.approx(by_hand)
    assert overkill.interval is not None
    assert overkill.interval[0] < overkill.difference < overkill.interval[1] < 0.0
    # What B's own threshold lets through is told, too.
    assert found.frozen["recall"].verdict == "worse"


def test_a_run_that_finds_nothing_cannot_be_matched_and_says_so(tmp_path: Path) -> None:
    scores = noisy(np.random.default_rng(1), 20, 20, shift=0.5, gap=2.0)
    labels = [0] * 20 + [1] * 20
    blind = measured(tmp_path / "a", labels, {"left": (100.0, scores), "right": (1.0, scores)})
    other = measured(tmp_path / "b", labels, {"left": (1.0, scores), "right": (1.0, scores)})
    found = compare_measured(blind, other, DRIFTS)
    assert found.matching[0]["k"] == 0
    assert found.matching[0]["threshold_b"] is None
    assert found.notes == ["A finds no defective image without drift in left: nothing to match there"]
    assert found.matched["overkill"].difference == 0.0
    only = compare_measured(
        measured(tmp_path / "c", labels, {"left": (100.0, scores)}),
        measured(tmp_path / "d", labels, {"left": (1.0, scores)}),
        DRIFTS,
    )
    assert only.matched["overkill"].difference is None
    assert only.matched["overkill"].reason == "nothing can be matched"


def test_only_the_same_images_and_conditions_that_both_have_are_compared(tmp_path: Path) -> None:
    scores = noisy(np.random.default_rng(1), 10, 10, shift=0.5, gap=2.0)
    labels = [0] * 10 + [1] * 10
    a = measured(tmp_path / "a", labels, {"default": (1.0, {CLEAN: scores[CLEAN], DRIFTS[0]: scores[DRIFTS[0]]})})
    b = measured(tmp_path / "b", labels, {"default": (1.0, scores)})
    found = compare_measured(a, b, DRIFTS)
    assert [condition for condition, _, _ in found.conditions] == [DRIFTS[0]]
    assert found.notes == ["1 conditions are not compared, since A has not measured them: fog 2"]
    other = measured(tmp_path / "c", labels[::-1], {"default": (1.0, scores)})
    with pytest.raises(ConfigError, match="other images of default"):
        compare_measured(other, b, DRIFTS)
    with pytest.raises(ConfigError, match="none of the conditions"):
        compare_measured(a, b, [DRIFTS[1]])


def test_resamples_are_the_images_themselves_first_and_then_as_many_draws(tmp_path: Path) -> None:
    good, defective = drawn_weights("brick", 3, 12, 5)
    assert good.shape == (1 + RESAMPLES, 12)
    assert defective.shape == (1 + RESAMPLES, 5)
    assert (good[0] == 1).all()
    assert (good.sum(axis=1) == 12).all()
    assert (good == drawn_weights("brick", 3, 12, 5)[0]).all()
    assert (good != drawn_weights("grass", 3, 12, 5)[0]).any()
    scores = np.random.default_rng(0).normal(size=(2, 12))
    scored = np.isfinite(scores)
    same = rates_above(good, scores, np.full(len(good), 0.3))
    assert np.allclose(same, rates(good, scores >= 0.3, scored))
    # A resample is the same as its images written out as often as they were drawn.
    written = np.repeat(scores, good[17].astype(int), axis=1)
    assert same[17] == pytest.approx((written >= 0.3).mean(axis=1))
