"""Thresholds by rank keep what they promise: coverage by simulation, ties, bad input, numbers of images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest, kstest

from pyimgano.core.conformal import conformal_rank, quantile_rank
from pyimgano.core.errors import CalibrationError, ParameterError
from pyimgano.workbench.calibrate import ThresholdMethod, calibrate, create_method

DRAWS = 1000
RANKED = ("conformal", "quantile", "target-overkill")


def overkills(method: ThresholdMethod, n: int, alpha: float, *, seed: int) -> np.ndarray:
    """Return the true overkill of 1,000 thresholds: of uniform scores it is 1 − threshold."""
    draws = np.random.default_rng(seed).random((DRAWS, n))
    return np.array([1.0 - min(1.0, method.threshold(scores, alpha)) for scores in draws])


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (60, 0.05), (99, 0.01), (30, 0.2)])
def test_the_overkill_of_split_conformal_thresholds_is_within_alpha_and_follows_the_beta_law(
    n: int, alpha: float
) -> None:
    found = overkills(create_method("conformal"), n, alpha, seed=1)
    k = conformal_rank(n, alpha)
    assert found.mean() <= alpha + 5.0 * found.std() / math.sqrt(DRAWS)
    # Without ties the bound is nearly reached.
    assert found.mean() >= alpha - 1.0 / (n + 1) - 5.0 * found.std() / math.sqrt(DRAWS)
    assert kstest(found, beta(n + 1 - k, k).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("n", "alpha"), [(60, 0.05), (150, 0.05), (299, 0.01), (25, 0.2)])
def test_target_overkill_is_exceeded_at_most_as_often_as_its_confidence_says(n: int, alpha: float) -> None:
    for confidence in (0.95, 0.7):
        violations = int(
            (overkills(create_method("target-overkill", {"confidence": confidence}), n, alpha, seed=2) > alpha).sum()
        )
        # Not significantly more than allowed, at one in ten thousand.
        assert binomtest(violations, DRAWS, 1.0 - confidence, alternative="greater").pvalue > 1e-4
    assert violations > 0  # and it is not simply a huge threshold


def test_split_conformal_is_exceeded_about_half_the_time_where_target_overkill_hardly_ever_is() -> None:
    share = {name: (overkills(create_method(name), 99, 0.05, seed=3) > 0.05).mean() for name in RANKED[::2]}
    assert share["conformal"] > 0.3
    assert share["target-overkill"] < 0.08


@pytest.mark.parametrize("name", RANKED)
def test_the_cards_interval_holds_the_overkill_as_often_as_it_says(name: str) -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(DRAWS):
        card = calibrate(rng.random(80), method=name, params={}, alpha=0.1, fingerprint="f")
        assert card.interval is not None
        inside += card.interval[0] <= 1.0 - card.threshold <= card.interval[1]
    assert card.confidence == 0.95
    assert card.interval_method == "beta"
    assert binomtest(inside, DRAWS, 0.95).pvalue > 1e-4


@pytest.mark.parametrize("name", RANKED)
def test_with_ties_the_interval_still_holds_the_overkill(name: str) -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(DRAWS):
        card = calibrate(rng.integers(0, 6, 80).astype(float), method=name, params={}, alpha=0.2, fingerprint="f")
        overkill = (np.arange(6) >= card.threshold).mean()
        assert card.interval is not None
        inside += card.interval[0] <= overkill <= card.interval[1]
    assert inside / DRAWS > 0.93


@pytest.mark.parametrize("name", RANKED)
def test_constant_scores_reject_none_of_them(name: str) -> None:
    card = calibrate(np.full(80, 3.5), method=name, params={}, alpha=0.1, review_alpha=0.3, fingerprint="f")
    assert card.threshold == np.nextafter(3.5, np.inf)
    assert card.interval is not None
    assert card.interval[0] == 0.0
    assert card.review_threshold is None  # there is nothing between the two
    assert "No image goes to review" in card.guarantee


@pytest.mark.parametrize(
    ("alpha", "confidence", "n"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.5, 0.5, 1), (0.1, 0.9, 22)]
)
def test_target_overkill_needs_the_known_number_of_images(alpha: float, confidence: float, n: int) -> None:
    method = create_method("target-overkill", {"confidence": confidence})
    assert method.images_needed(alpha) == n
    scores = np.arange(float(n))
    assert method.threshold(scores, alpha) == np.nextafter(n - 1.0, np.inf)
    if n > 1:
        with pytest.raises(CalibrationError, match=f"at least {n} held-out good images, there are {n - 1}"):
            method.threshold(scores[:-1], alpha)


def test_target_overkill_rejects_as_many_held_out_images_as_the_upper_bound_allows() -> None:
    n, alpha = 400, 0.05
    scores = np.arange(float(n))
    rejected = int((scores >= create_method("target-overkill").threshold(scores, alpha)).sum())
    upper = binomtest(rejected, n).proportion_ci(0.90, "exact").high  # two-sided 90 % is one-sided 95 %
    more = binomtest(rejected + 1, n).proportion_ci(0.90, "exact").high
    assert upper <= alpha < more


def test_one_image_has_a_quantile_but_no_guarantee() -> None:
    card = calibrate([2.0], method="quantile", params={}, alpha=0.05, fingerprint="f")
    assert card.threshold == np.nextafter(2.0, np.inf)
    assert card.distribution["sd"] is None
    assert card.interval == pytest.approx((0.025, 0.975))
    for name in ("conformal", "target-overkill"):
        with pytest.raises(CalibrationError, match="needs at least"):
            calibrate([2.0], method=name, params={}, alpha=0.05, fingerprint="f")


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", RANKED)
def test_scores_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    for scores in ({"scores": [*range(400), bad]}, {"scores": range(400), "map_maxima": [bad] * 400}):
        with pytest.raises(CalibrationError, match="is not finite"):
            calibrate(**scores, method=name, params={}, alpha=0.05, fingerprint="f")  # type: ignore[arg-type]


def test_scores_too_large_to_describe_are_refused_in_words() -> None:
    with np.errstate(over="ignore"), pytest.raises(CalibrationError, match="too large"):
        calibrate([1.7e308] * 20, method="quantile", params={}, alpha=0.05, fingerprint="f")


def test_ranks_are_those_of_the_definitions() -> None:
    assert [conformal_rank(99, alpha) for alpha in (0.01, 0.05, 0.1)] == [99, 95, 90]
    assert [quantile_rank(100, alpha) for alpha in (0.01, 0.05, 0.999)] == [99, 95, 1]
    with pytest.raises(ParameterError, match="confidence = 1"):
        create_method("target-overkill", {"confidence": 1.0})
