"""Intervals hold what they promise, and DeLong's fast variance is the one that his formulas give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm, rankdata
from sklearn.metrics import roc_auc_score

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate import auroc_interval, clopper_pearson, delong_difference, delong_variance
from pyimgano.workbench.evaluate.delong import variance_of_tallies


def written_out(scores: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Return DeLong's covariance matrix from all pairs of a good and a defective image."""
    rows, columns = [], []
    for values in scores:
        high, low = values[labels == 1][:, None], values[labels == 0][None, :]
        wins = (high > low) + 0.5 * (high == low)
        rows.append(wins.mean(axis=1))
        columns.append(wins.mean(axis=0))
    n_high, n_low = len(rows[0]), len(columns[0])
    return np.atleast_2d(np.cov(rows)) / n_high + np.atleast_2d(np.cov(columns)) / n_low


def tallies(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    values, counts = np.unique(scores[labels == 1], return_counts=True)
    good = scores[labels == 0]
    below = np.array([(good < value).sum() for value in values])
    up_to = np.array([(good <= value).sum() for value in values])
    return counts, below, up_to, len(good)


cases = st.tuples(
    st.lists(st.integers(-3, 3), min_size=2, max_size=25), st.lists(st.integers(-2, 4), min_size=2, max_size=25)
)


@settings(max_examples=200, deadline=None)
@given(cases)
def test_the_variance_is_delongs_with_any_ties(case: tuple[list[int], list[int]]) -> None:
    good, defective = case
    scores = np.array(good + defective) / 7.0
    labels = np.array([0] * len(good) + [1] * len(defective))
    expected = written_out([scores], labels)[0, 0]
    auroc, variance = delong_variance(scores, labels)
    assert auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert variance == pytest.approx(expected, abs=1e-12)
    assert variance_of_tallies(*tallies(scores, labels), auroc=auroc) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_variance_of_a_difference_is_delongs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1], (30, 17)))
    common = rng.normal(size=labels.size) + labels
    a, b = np.round(common + rng.normal(size=labels.size), 1), common + rng.normal(size=labels.size)
    covariance = written_out([a, b], labels)
    found = delong_difference(a, b, labels)
    assert found.difference == pytest.approx(roc_auc_score(labels, a) - roc_auc_score(labels, b), abs=1e-12)
    assert found.variance == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], abs=1e-12)
    assert found.interval is not None
    assert found.interval[0] < found.difference < found.interval[1]
    assert (found.p < 0.05) == (not found.interval[0] <= 0.0 <= found.interval[1])
    turned = delong_difference(b, a, labels)
    assert (turned.difference, turned.p) == (pytest.approx(-found.difference), pytest.approx(found.p))


def test_a_difference_says_nothing_where_there_is_no_variance() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    perfect = np.arange(6.0)
    alike = delong_difference(perfect, 10.0 * perfect - 3.0, labels)
    assert (alike.difference, alike.p, alike.interval) == (0.0, 1.0, None)
    opposite = delong_difference(perfect, -perfect, labels)
    assert (opposite.difference, opposite.variance, opposite.p) == (1.0, 0.0, None)
    single = delong_difference([0.0, 1.0, 2.0], [1.0, 3.0, 2.0], [0, 0, 1])
    assert (single.variance, single.p, single.n_defective) == (None, None, 1)


def test_p_values_of_equally_good_models_are_uniform() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], (60, 40))
    p = []
    for _ in range(1000):
        common = rng.normal(size=labels.size) + 1.2 * labels
        p.append(delong_difference(common + rng.normal(size=100), common + rng.normal(size=100), labels).p)
    # 1000 draws: three standard deviations of a share of 5 % are 2.1 %, of 50 % are 4.7 %.
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.021)
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.048)


def simulated(
    auroc: float, n_defective: int, n_good: int, *, spread: float, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return AUROC and DeLong's variance of many draws at once, for normal scores of a known AUROC."""
    rng = np.random.default_rng(seed)
    high = spread * rng.normal(size=(draws, n_defective)) + np.sqrt(1.0 + spread**2) * norm.ppf(auroc)
    low = rng.normal(size=(draws, n_good))
    together = rankdata(np.concatenate([high, low], axis=1), axis=1)
    of_high = (together[:, :n_defective] - rankdata(high, axis=1)) / n_good
    of_low = 1.0 - (together[:, n_defective:] - rankdata(low, axis=1)) / n_defective
    variance = of_high.var(axis=1, ddof=1) / n_defective + of_low.var(axis=1, ddof=1) / n_good
    return of_high.mean(axis=1), variance


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("auroc", "n_defective", "n_good"), [(0.7, 30, 60), (0.9, 40, 40), (0.95, 5, 100), (0.97, 20, 100), (0.99, 15, 50)]
)
def test_auroc_intervals_cover_the_true_auroc(auroc: float, n_defective: int, n_good: int, spread: float) -> None:
    draws = 1000
    aurocs, variances = simulated(auroc, n_defective, n_good, spread=spread, draws=draws, seed=1)
    covered = degenerate = 0
    for value, variance in zip(aurocs, variances):
        low, high, method = auroc_interval(float(value), float(variance), n_defective, n_good)
        covered += low <= auroc <= high
        degenerate += method == "newcombe"
        assert 0.0 <= low <= value <= high <= 1.0
    # Three standard deviations of 95 % in 1000 draws are 2.1 %; an interval that is too wide is no error.
    assert covered / draws > 0.929
    if auroc > 0.98:
        assert degenerate > 0.05 * draws  # perfect separation is what the second method is for


def test_delongs_interval_alone_would_promise_too_much() -> None:
    aurocs, variances = simulated(0.97, 20, 100, spread=2.0, draws=1000, seed=1)
    inside = (aurocs < 1.0) & (variances > 0.0)
    logit = np.log(aurocs[inside] / (1.0 - aurocs[inside]))
    step = 1.96 * np.sqrt(variances[inside]) / (aurocs[inside] * (1.0 - aurocs[inside]))
    assert np.mean(np.abs(logit - np.log(0.97 / 0.03)) <= step) < 0.9


def test_perfect_separation_keeps_a_width_that_shrinks_with_n() -> None:
    widths = []
    for n in (5, 10, 100, 1000):
        low, high, method = auroc_interval(1.0, 0.0, n, n)
        assert (high, method) == (1.0, "newcombe")
        widths.append(1.0 - low)
        mirrored = auroc_interval(0.0, 0.0, n, n)
        assert mirrored[0] == 0.0
        assert mirrored[1] == pytest.approx(1.0 - low)
    assert widths == sorted(widths, reverse=True)
    # 10 of each kind: (1 - t) = z² t (1 + 9 ((1 - t) / (2 - t) + t / (1 + t))) / 100 at t = 0.80
    assert widths[1] == pytest.approx(0.20, abs=0.001)
    assert widths[-1] < 0.005


def test_constant_scores_and_a_single_defective_image_have_an_interval() -> None:
    low, high, method = auroc_interval(0.5, 0.0, 20, 20)
    assert method == "newcombe"
    assert low == pytest.approx(1.0 - high)
    assert 0.3 < low < 0.4
    low, high, method = auroc_interval(0.9, None, 1, 50)
    assert method == "newcombe"
    assert low < 0.4 < 0.9 < high < 1.0


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
def test_clopper_pearson_never_covers_less_than_it_promises(rate: float) -> None:
    n = 100
    ends = [clopper_pearson(k, n) for k in range(n + 1)]
    covered = sum(binom.pmf(k, n, rate) for k, (low, high) in enumerate(ends) if low <= rate <= high)
    assert covered >= 0.95


def test_what_is_no_proportion_and_no_score_is_refused() -> None:
    for successes, n in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(ParameterError, match=f"{successes} of {n}"):
            clopper_pearson(successes, n)
    with pytest.raises(ParameterError, match="confidence"):
        clopper_pearson(1, 2, confidence=95.0)
    with pytest.raises(ParameterError, match="nan at position 1") as refused:
        delong_difference([1.0, 2.0], [1.0, np.nan], [0, 1])
    assert refused.value.where == "scores_b"
    with pytest.raises(ParameterError, match="3 scores, 2 labels"):
        delong_difference([1.0, 2.0], [1.0, 2.0, 3.0], [0, 1])
    with pytest.raises(ParameterError, match="no good images"):
        delong_variance([1.0, 2.0], [1, 1])
