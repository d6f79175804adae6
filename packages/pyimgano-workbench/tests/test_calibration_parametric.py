"""Thresholds from a law of the scores: exact where the law holds, refused where it cannot be fitted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import expon, genpareto, norm, t

from pyimgano.core.errors import CalibrationError, ParameterError
from pyimgano.workbench.calibrate import calibrate, create_method

DRAWS = 1000


@pytest.mark.parametrize(("n", "alpha"), [(5, 0.05), (20, 0.01), (100, 0.1)])
def test_mean_sigma_rejects_alpha_of_new_normal_scores_at_every_n(n: int, alpha: float) -> None:
    method = create_method("mean-sigma")
    draws = np.random.default_rng(1).normal(7.0, 3.0, (DRAWS, n))
    overkill = norm.sf([method.threshold(scores, alpha) for scores in draws], 7.0, 3.0)
    assert overkill.mean() == pytest.approx(alpha, abs=5.0 * overkill.std() / math.sqrt(DRAWS))


def test_the_robust_threshold_is_not_moved_by_outliers_and_nears_alpha() -> None:
    scores = np.random.default_rng(2).normal(size=20_000)
    plain, robust = create_method("mean-sigma"), create_method("mean-sigma", {"robust": True})
    assert norm.sf(robust.threshold(scores, 0.05)) == pytest.approx(0.05, abs=0.004)
    spoilt = np.concatenate([scores, np.full(400, 50.0)])
    assert robust.threshold(spoilt, 0.05) == pytest.approx(robust.threshold(scores, 0.05), abs=0.1)
    assert plain.threshold(spoilt, 0.05) > 5.0


def test_sigmas_that_are_given_are_taken_and_alpha_does_not_count() -> None:
    scores = np.random.default_rng(3).normal(size=50)
    method = create_method("mean-sigma", {"sigmas": 3.0})
    assert method.threshold(scores, 0.3) == method.threshold(scores, 0.01)
    assert method.threshold(scores, 0.3) == pytest.approx(scores.mean() + 3.0 * scores.std(ddof=1))
    assert "alpha was not used" in method.guarantee(0.05, 50)


def test_a_method_with_an_assumption_has_no_interval_and_the_card_says_so() -> None:
    scores = np.random.default_rng(4).normal(size=200)
    for name in ("mean-sigma", "gpd"):
        card = calibrate(scores, method=name, params={}, alpha=0.05, review_alpha=0.3, fingerprint="f")
        assert card.interval is None
        assert card.interval_reason
        assert card.details
        assert card.review_threshold is not None
        assert card.review_threshold < card.threshold


@pytest.mark.parametrize("scores", [[1.0], [2.0] * 50, [0.1] * 200, [1.0] * 60 + [2.0] * 40])
@pytest.mark.parametrize(("name", "params"), [("mean-sigma", {}), ("mean-sigma", {"robust": True}), ("gpd", {})])
def test_scores_without_a_spread_are_refused_where_one_is_needed(scores: list, name: str, params: dict) -> None:
    if len(set(scores)) == 2 and params == {} and name == "mean-sigma":
        assert math.isfinite(calibrate(scores, method=name, params=params, alpha=0.05, fingerprint="f").threshold)
        return
    with pytest.raises(CalibrationError):
        calibrate(scores, method=name, params=params, alpha=0.05, fingerprint="f")


def test_a_pixel_threshold_that_cannot_be_found_is_told_as_one() -> None:
    scores = np.random.default_rng(4).normal(size=50)
    with pytest.raises(CalibrationError, match="all of them are equal") as caught:
        calibrate(scores, method="mean-sigma", params={}, alpha=0.05, fingerprint="f", map_maxima=np.ones(50))
    assert "pixel threshold" in str(caught.value.where)


@pytest.mark.parametrize("shape", [-0.4, -0.2, 0.0, 0.2, 0.4])
@pytest.mark.parametrize("fit", ["pwm", "mle"])
def test_the_tail_of_a_pareto_law_is_found(fit: str, shape: float) -> None:
    # The tail of a generalised Pareto law above u is one of the same shape, and the scale σ + ξu.
    rng = np.random.default_rng(5)
    method = create_method("gpd", {"fit": fit, "tail": 0.5})
    found = []
    for _ in range(60):
        scores = genpareto.rvs(shape, scale=2.0, size=1000, random_state=rng)
        tail = method.details(scores, 0.05)  # type: ignore[attr-defined]
        found.append((tail["shape"] - shape, tail["scale"] / (2.0 + shape * tail["above"]) - 1.0))
        assert tail["exceedances"] == 500
    bias, spread = np.mean(found, axis=0), np.std(found, axis=0)
    assert np.all(np.abs(bias) < 0.04)
    assert np.all(spread < 0.13)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_maximum_likelihood_is_at_least_as_likely_as_scipys(shape: float) -> None:
    rng = np.random.default_rng(6)
    method = create_method("gpd", {"fit": "mle"})
    for _ in range(10):
        scores = genpareto.rvs(shape, scale=2.0, size=500, random_state=rng)
        tail = method.details(scores, 0.05)  # type: ignore[attr-defined]
        excess = scores[scores > tail["above"]] - tail["above"]
        theirs, _, scale = genpareto.fit(excess, floc=0.0)
        if theirs < -0.5:
            continue  # outside of what is regular; ours stops there
        ours = genpareto.logpdf(excess, tail["shape"], 0.0, tail["scale"]).sum()
        assert ours >= genpareto.logpdf(excess, theirs, 0.0, scale).sum() - 1e-6


@pytest.mark.parametrize("law", [norm(), expon(), t(4)], ids=["normal", "exponential", "t4"])
@pytest.mark.parametrize(("alpha", "most"), [(0.05, 1.25), (0.01, 1.75), (0.005, 2.4)])
def test_the_tails_mean_overkill_is_optimistic_by_what_its_documentation_says(
    law: object, alpha: float, most: float
) -> None:
    method = create_method("gpd")
    draws = law.rvs((DRAWS, 100), random_state=np.random.default_rng(7))  # type: ignore[attr-defined]
    overkill = law.sf([method.threshold(scores, alpha) for scores in draws])  # type: ignore[attr-defined]
    assert 0.95 < overkill.mean() / alpha < most


def test_a_smaller_alpha_never_gives_a_lower_threshold() -> None:
    rng = np.random.default_rng(8)
    for fit in ("pwm", "mle"):
        method = create_method("gpd", {"fit": fit})
        for _ in range(20):
            scores = rng.normal(size=150)
            found = [method.threshold(scores, alpha) for alpha in (0.9, 0.3, 0.21, 0.2, 0.19, 0.1, 0.01, 0.004)]
            assert found == sorted(found)


def test_the_tail_refuses_what_the_images_do_not_support() -> None:
    method = create_method("gpd")
    assert method.images_needed(0.05) == 100  # 20 exceedances in a tail of 0.2
    assert method.images_needed(0.001) == 500  # 1 in 1000 from at least half as many
    with pytest.raises(CalibrationError, match="needs at least 100 held-out images, there are 99"):
        method.threshold(np.random.default_rng(9).normal(size=99), 0.05)
    with pytest.raises(CalibrationError, match="needs at least 500"):
        method.threshold(np.random.default_rng(9).normal(size=499), 0.001)
    with pytest.raises(CalibrationError, match=r"only \d+ of n = 200 .* some are equal"):
        method.threshold(np.random.default_rng(9).integers(0, 3, 200).astype(float), 0.05)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("gpd", {"tail": 1.0}),
        ("gpd", {"fit": "lmom"}),
        ("gpd", {"min_exceedances": 5}),
        ("gpd", {"extrapolation": 0.5}),
        ("mean-sigma", {"sigmas": 0.0}),
        ("mean-sigma", {"sigmas": math.inf}),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, params: dict) -> None:
    with pytest.raises(ParameterError):
        create_method(name, params)
