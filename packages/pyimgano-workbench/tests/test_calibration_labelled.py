"""Thresholds that labelled defects help to find: the recall that is promised, and the cost that is least."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from pyimgano.core.errors import CalibrationError, ParameterError
from pyimgano.workbench.calibrate import calibrate, contradictions, create_method, require_defects

DRAWS = 1000


def method_of(name: str, **params: Any) -> Any:
    return create_method(name, params)


@pytest.mark.parametrize(("m", "recall", "confidence"), [(59, 0.95, 0.95), (120, 0.95, 0.95), (40, 0.9, 0.8)])
def test_the_recall_is_missed_at_most_as_often_as_the_confidence_says(m: int, recall: float, confidence: float) -> None:
    method = method_of("target-recall", recall=recall, confidence=confidence)
    good = np.zeros(10)
    draws = np.random.default_rng(1).normal(3.0, 1.0, (DRAWS, m))
    found = norm.sf([method.threshold_with_defects(good, defects, 0.05) for defects in draws], 3.0)
    missed = int((found < recall).sum())
    assert binomtest(missed, DRAWS, 1.0 - confidence, alternative="greater").pvalue > 1e-4
    assert missed > 0


def test_the_number_of_defects_that_is_needed_is_said() -> None:
    method = method_of("target-recall")
    assert method.defects_needed(0.05) == 59
    assert method_of("target-recall", recall=0.99).defects_needed(0.05) == 299
    assert method_of("target-recall", confidence=None).defects_needed(0.05) == 1
    with pytest.raises(CalibrationError, match="at least 59 labelled defective images, there are 58"):
        method.threshold_with_defects(np.zeros(5), np.arange(58.0), 0.05)
    require_defects(method, 0.05, 59, where="category 'a'", source="train")
    with pytest.raises(CalibrationError, match="59 labelled defective images of the train split, there are 3"):
        require_defects(method, 0.05, 3, where="category 'a'", source="train")
    require_defects(create_method("conformal"), 0.05, 0, where="category 'a'", source="none")


def test_without_confidence_the_share_of_the_labelled_images_is_kept_exactly() -> None:
    defects = np.arange(20.0)
    for recall, passed in ((0.95, 1), (0.9, 2), (0.999, 0), (0.001, 19)):
        threshold = method_of("target-recall", recall=recall, confidence=None).threshold_with_defects(
            np.zeros(3), defects, 0.05
        )
        assert (defects < threshold).sum() == passed


def test_the_interval_of_target_recall_is_that_of_the_held_out_good_images() -> None:
    rng = np.random.default_rng(2)
    good, defects = rng.normal(size=50), rng.normal(2.0, 1.0, 100)
    card = calibrate(
        good,
        method="target-recall",
        params={"recall": 0.9},
        alpha=0.05,
        fingerprint="f",
        defect_scores=defects,
        defects_fingerprint="d",
        map_maxima=good + 10.0,
        defect_maxima=defects + 10.0,
    )
    exact = binomtest(int((good >= card.threshold).sum()), 50).proportion_ci(0.95, "exact")
    assert card.interval == pytest.approx((exact.low, exact.high))
    assert card.interval_method == "clopper-pearson"
    assert (card.n_defects, card.defects_fingerprint) == (100, "d")
    assert "100 labelled ones" in card.guarantee
    assert card.pixel_threshold == pytest.approx(card.threshold + 10.0)


def brute_force(good: np.ndarray, defects: np.ndarray, cost: float, rate: float) -> float:
    steps = np.unique(np.concatenate([good, defects]))
    cuts = [*steps, steps[-1] + 1.0]
    return min(cost * rate * (defects < cut).mean() + (1.0 - rate) * (good >= cut).mean() for cut in cuts)


@pytest.mark.parametrize(("cost", "rate"), [(1.0, 0.5), (100.0, 0.01), (1000.0, 0.2), (0.01, 0.01)])
def test_no_threshold_costs_less_than_that_of_cost_ratio(cost: float, rate: float) -> None:
    rng = np.random.default_rng(3)
    method = method_of("cost-ratio", escape_cost=cost, defect_rate=rate)
    for round_to in (8, 0):  # 0: many ties
        good, defects = rng.normal(size=80).round(round_to), rng.normal(1.5, 1.0, 30).round(round_to)
        cut = method.threshold_with_defects(good, defects, 0.05)
        found = cost * rate * (defects < cut).mean() + (1.0 - rate) * (good >= cut).mean()
        assert found == pytest.approx(brute_force(good, defects, cost, rate))


def test_separated_scores_are_cut_in_the_middle_of_the_gap() -> None:
    method = method_of("cost-ratio", escape_cost=10.0, defect_rate=0.1)
    assert method.threshold_with_defects(np.array([0.0, 1.0]), np.array([3.0, 9.0]), 0.05) == 2.0
    same = method.threshold_with_defects(np.array([1.0]), np.array([1.0]), 0.05)
    assert same in (1.0, np.nextafter(1.0, 2.0))
    near = method.threshold_with_defects(np.array([1.0]), np.array([np.nextafter(1.0, 2.0)]), 0.05)
    assert near == np.nextafter(1.0, 2.0)  # no number lies between: the higher one rejects just the defect


@pytest.mark.parametrize("name", ["target-recall", "cost-ratio"])
def test_without_defective_images_there_is_no_threshold(name: str) -> None:
    params = {"escape_cost": 5.0, "defect_rate": 0.1} if name == "cost-ratio" else {}
    with pytest.raises(CalibrationError, match="needs the scores of labelled defective images"):
        calibrate([1.0, 2.0], method=name, params=params, alpha=0.05, fingerprint="f")
    with pytest.raises(CalibrationError, match="is not finite"):
        calibrate([1.0], method=name, params=params, alpha=0.05, fingerprint="f", defect_scores=[float("inf")])


def test_the_costs_must_be_said_and_the_shares_be_shares() -> None:
    with pytest.raises(ParameterError, match="missing parameter 'escape_cost', 'defect_rate'"):
        create_method("cost-ratio")
    for name, params in (("cost-ratio", {"escape_cost": 1.0, "defect_rate": 0.0}), ("target-recall", {"recall": 1.0})):
        with pytest.raises(ParameterError):
            create_method(name, params)


def keys(method: str, params: Any = None, **settings: Any) -> list[str]:
    return [key for key, _, _ in contradictions(create_method(method, params), **settings)]


def test_settings_that_contradict_each_other_are_found() -> None:
    assert keys("conformal") == []
    assert keys("target-recall") == ["defects"]
    assert keys("target-recall", defects="train") == []
    assert keys("target-recall", defects="train", review_alpha=0.2, pixel_alpha=0.2) == ["review_alpha", "pixel_alpha"]
    assert keys("conformal", defects="train") == ["defects"]
    assert keys("conformal", pixel_params={"folds": 3}) == ["pixel_params"]
    assert keys("mean-sigma", {"sigmas": 3.0}, review_alpha=0.1) == ["review_alpha"]
    assert keys("mean-sigma", review_alpha=0.1, pixel_alpha=0.01) == []
    assert keys("conformal", pixel_method=create_method("cross-conformal")) == ["pixel_method"]
    assert keys("cross-conformal", pixel_method=create_method("quantile")) == ["pixel_method"]
    assert keys("conformal", pixel_method=create_method("target-recall"), defects="validation") == []
