"""Thresholds from held-out good images keep what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyimgano.core.conformal import conformal_p_values, held_out_quantile, images_needed, split_conformal
from pyimgano.core.errors import CalibrationError


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.1, 0.25])
@pytest.mark.parametrize("shape", ["normal", "heavy tail", "few values"])
def test_overkill_on_new_good_images_stays_within_alpha(alpha, shape):
    random = np.random.default_rng(7)

    def draw(size):
        if shape == "normal":
            return random.normal(size=size)
        if shape == "heavy tail":
            return random.standard_cauchy(size)
        return random.integers(0, 6, size).astype(float)

    trials, n = 20000, 2 * images_needed(alpha) + 3
    rejected = sum(bool(draw(1)[0] >= split_conformal(draw(n), alpha)) for _ in range(trials))
    # Five standard errors: it fails once in millions of seeds, not once in some.
    assert rejected / trials <= alpha + 5 * math.sqrt(alpha * (1 - alpha) / trials)
    if shape != "few values":  # without ties the bound is nearly reached: the threshold is not simply too high
        assert rejected / trials >= alpha - 1 / (n + 1) - 5 * math.sqrt(alpha * (1 - alpha) / trials)


@pytest.mark.parametrize("alpha", [0.5, 0.3, 0.1, 0.05, 0.033, 0.02, 0.01, 0.005, 1 / 3, 1 / 7, 0.0007])
def test_images_needed_is_the_least_number_that_works(alpha):
    n = images_needed(alpha)
    split_conformal(np.arange(n, dtype=float), alpha)
    if n > 1:
        with pytest.raises(CalibrationError, match=f"at least {n} "):
            split_conformal(np.arange(n - 1, dtype=float), alpha)


def test_the_known_numbers():
    assert [images_needed(alpha) for alpha in (0.1, 0.05, 0.01, 0.005)] == [9, 19, 99, 199]


def test_too_few_images_are_refused_with_what_they_could_support():
    with pytest.raises(CalibrationError) as caught:
        split_conformal(np.zeros(10), 0.01)
    assert "99" in caught.value.message
    assert "10" in caught.value.message
    assert "0.09091" in caught.value.allowed


def test_the_threshold_rejects_only_what_is_above_its_score():
    scores = np.arange(1.0, 20.0)  # 19 images: alpha 0.05 takes the largest, alpha 0.1 the 18th
    threshold = split_conformal(scores, 0.05)
    assert 19.0 < threshold < 19.0 + 1e-9
    threshold = split_conformal(scores, 0.1)
    assert (scores >= threshold).sum() == 1


def test_ties_at_the_threshold_are_accepted_together():
    scores = np.array([1.0] * 5 + [2.0] * 95)
    for rule in (split_conformal, held_out_quantile):
        assert (scores >= rule(scores, 0.1)).sum() == 0


@pytest.mark.parametrize("n", [1, 2, 7, 50, 101])
@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.34, 0.9])
def test_the_quantile_rejects_at_most_alpha_of_the_held_out_images(n, alpha):
    scores = np.random.default_rng(n).normal(size=n)
    rejected = (scores >= held_out_quantile(scores, alpha)).sum()
    assert rejected <= alpha * n + 1e-9
    assert rejected + 1 > alpha * n - 1e-9 or n == rejected + 1  # and one more would be too many


def test_order_and_dtype_of_the_scores_do_not_matter():
    scores = np.random.default_rng(1).normal(size=40).astype(np.float32)
    assert split_conformal(scores, 0.1) == split_conformal(np.sort(scores)[::-1].astype(np.float64), 0.1)


@pytest.mark.parametrize("rule", [split_conformal, held_out_quantile])
def test_bad_input_is_refused(rule):
    good = np.zeros(100)
    for scores, alpha in ((good, 0.0), (good, 1.0), (good, math.nan), (good[:0], 0.1), (np.append(good, np.nan), 0.1)):
        with pytest.raises(CalibrationError):
            rule(scores, alpha)


def test_p_values_count_the_held_out_scores_that_are_at_least_as_high():
    held_out = np.array([1.0, 2.0, 2.0, 3.0])
    assert conformal_p_values(np.array([0.0, 2.0, 2.5, 3.0, 4.0]), held_out) == pytest.approx(
        [1.0, 4 / 5, 2 / 5, 2 / 5, 1 / 5]
    )


def test_a_p_value_of_at_most_alpha_is_a_score_at_the_threshold():
    random = np.random.default_rng(3)
    held_out, scores = random.integers(0, 40, 60).astype(float), random.integers(0, 45, 500).astype(float)
    for alpha in (0.05, 0.1, 0.3):
        rejected = scores >= split_conformal(held_out, alpha)
        assert np.array_equal(rejected, conformal_p_values(scores, held_out) <= alpha + 1e-12)
