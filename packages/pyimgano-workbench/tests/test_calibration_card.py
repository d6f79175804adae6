"""Thresholds: from held-out scores only, refused in time, and with a card that says what they are worth."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest

from pyimgano.core.errors import CalibrationError, ParameterError, PluginError, RunError, UnknownNameError
from pyimgano.core.registry import COMPONENTS
from pyimgano.core.specs import ComponentSpec
from pyimgano.workbench.calibrate import CalibrationCard, calibrate, create_method, method_names, require_images


def card_of(
    scores: np.ndarray, *, method: str = "conformal", alpha: float = 0.1, **more: np.ndarray
) -> CalibrationCard:
    return calibrate(scores, method=method, params={}, alpha=alpha, fingerprint="f" * 64, **more)


def test_the_card_holds_all_that_the_threshold_rests_on_and_comes_back_from_json() -> None:
    scores = np.random.default_rng(0).normal(size=40)
    card = card_of(scores, map_maxima=scores + 3, map_medians=scores)
    assert card.held_out_scores == tuple(sorted(scores))
    assert (card.n, card.alpha, card.method) == (40, 0.1, "conformal")
    assert "n = 40" in card.guarantee
    assert "0.1" in card.guarantee
    again = CalibrationCard.from_json(json.loads(json.dumps(card.to_json(), allow_nan=False)), where="x")
    assert again == card


def test_decision_and_p_value_agree_at_the_threshold() -> None:
    card = card_of(np.random.default_rng(1).normal(size=99))
    for score in (card.threshold, np.nextafter(card.threshold, -np.inf), 9.0, -9.0):
        assert (card.decision(score) == "defective") == (card.p_value(score) <= card.alpha)


def test_conformal_overkill_of_new_good_images_is_at_most_alpha() -> None:
    rng = np.random.default_rng(2)
    rejected = []
    for _ in range(400):
        card = card_of(rng.gamma(2.0, size=29), alpha=0.1)
        rejected.append((rng.gamma(2.0, size=50) >= card.threshold).mean())
    # 3 of 30 ranks: exactly 0.1 on average; the mean of 400 draws has a standard error below 0.003.
    assert np.mean(rejected) == pytest.approx(0.1, abs=0.01)


def test_the_quantile_method_takes_any_number_and_promises_nothing() -> None:
    card = card_of(np.array([1.0, 2.0, 3.0]), method="quantile", alpha=0.01)
    assert card.threshold == np.nextafter(3.0, np.inf)
    assert "nothing is guaranteed" in card.guarantee


def test_the_pixel_threshold_shows_no_region_on_all_but_alpha_of_the_held_out_images() -> None:
    maxima = np.random.default_rng(3).normal(size=50).astype(np.float32)
    card = card_of(maxima, map_maxima=maxima, map_medians=maxima)
    assert card.pixel_threshold == card.threshold
    assert card_of(maxima).pixel_threshold is None


def test_an_alpha_without_enough_images_is_refused_with_the_number_and_a_way_out() -> None:
    method = create_method("conformal")
    require_images(method, 0.05, 19, where="category 'a'", available=100)
    with pytest.raises(CalibrationError, match="needs at least 19 held-out good images, there are 18") as caught:
        require_images(method, 0.05, 18, where="category 'a'", available=100)
    hint = str(caught.value.hint)
    assert "calibration.holdout=19" in hint
    alpha = float(hint.split("calibration.alpha=")[1].split()[0])
    assert method.images_needed(alpha) <= 18  # what the hint says works
    with pytest.raises(CalibrationError) as caught:
        require_images(method, 0.01, 5, where="category 'a'", available=20)
    assert "holdout" not in str(caught.value.hint).split("bring")[0]
    require_images(create_method("quantile"), 0.01, 1, where="category 'a'", available=2)


def test_unknown_methods_and_parameters_are_refused() -> None:
    assert {"conformal", "quantile"} <= set(method_names())
    with pytest.raises(UnknownNameError):
        create_method("conformel")
    with pytest.raises(ParameterError, match="unknown parameter 'beta'"):
        create_method("conformal", {"beta": 1})


class MeanPlus:
    def __init__(self, *, sigmas: float = 3.0) -> None:
        self.sigmas = sigmas

    def images_needed(self, alpha: float) -> int:
        return 2

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        return float(scores.mean() + self.sigmas * scores.std())

    def guarantee(self, alpha: float, n: int) -> str:
        return f"none; n = {n}"


def test_a_third_partys_method_calibrates(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("acme_thresholds")
    module.MeanPlus = MeanPlus  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_thresholds", module)
    before = COMPONENTS.snapshot()
    COMPONENTS.register(ComponentSpec("mean-plus", "k sigma", "acme_thresholds:MeanPlus", kind="threshold"))
    COMPONENTS.register(ComponentSpec("no-method", "not one", "builtins:dict", kind="threshold"))
    try:
        assert "mean-plus" in method_names()
        card = calibrate(
            np.array([1.0, 3.0]), method="mean-plus", params={"sigmas": 2.0}, alpha=0.1, fingerprint="f" * 64
        )
        assert (card.threshold, card.params, card.guarantee) == (4.0, {"sigmas": 2.0}, "none; n = 2")
        with pytest.raises((PluginError, ParameterError, ValueError)):
            create_method("no-method")
    finally:
        COMPONENTS.restore(before)


@pytest.mark.parametrize("data", [{}, {"schema_version": 2}, {"schema_version": 1, "method": "x"}, []])
def test_what_is_no_card_is_refused(data: object) -> None:
    with pytest.raises(RunError, match=r"not a calibration card") as caught:
        CalibrationCard.from_json(data, where="card.json")  # type: ignore[arg-type]
    assert caught.value.where == "card.json"


def test_the_card_of_an_older_program_is_refused_with_what_to_do() -> None:
    old = {**card_of(np.arange(40.0)).to_json(), "schema_version": 1}
    with pytest.raises(RunError, match="not a calibration card of version 2: 1") as caught:
        CalibrationCard.from_json(old, where="card.json")
    assert "pyimgano train --config RUN/config.json" in str(caught.value.hint)


def test_the_decision_has_three_outcomes_where_there_is_a_review_band() -> None:
    scores = np.random.default_rng(0).normal(size=99)
    card = calibrate(scores, method="conformal", params={}, alpha=0.05, review_alpha=0.2, fingerprint="f")
    low, high = card.review_threshold, card.threshold
    assert low is not None
    outcomes = {np.nextafter(low, -9): "good", low: "review", np.nextafter(high, -9): "review", high: "defective"}
    assert [card.decision(score) for score in outcomes] == list(outcomes.values())
    assert (scores >= high).sum() == 4
    assert (scores >= low).sum() == 19
    assert "with 0.2" in card.guarantee


def test_the_card_describes_the_scores_that_it_rests_on() -> None:
    scores = np.random.default_rng(1).gamma(2.0, size=57)
    card = card_of(scores)
    assert card.distribution == {
        "min": scores.min(),
        "q05": pytest.approx(np.quantile(scores, 0.05)),
        "q25": pytest.approx(np.quantile(scores, 0.25)),
        "median": pytest.approx(np.median(scores)),
        "q75": pytest.approx(np.quantile(scores, 0.75)),
        "q95": pytest.approx(np.quantile(scores, 0.95)),
        "max": scores.max(),
        "mean": pytest.approx(scores.mean()),
        "sd": pytest.approx(scores.std(ddof=1)),
    }
