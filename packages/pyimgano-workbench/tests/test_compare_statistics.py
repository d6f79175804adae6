"""The statistics of comparing two runs, against plain loops, textbook numbers and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, precision_score, roc_auc_score

from pyimgano.workbench.compare.difference import judged
from pyimgano.workbench.compare.paired import (
    bootstrap_interval,
    compare_proportions,
    images_needed,
    mcnemar,
    paired_metrics,
    paired_rate,
)
from pyimgano.workbench.compare.resampling import ImageSet, draw_weights, weight_chunks, weighted_metrics

NAMES = [
    "image_auroc",
    "image_ap",
    "image_f1max",
    "image_recall_at_fpr_0.05",
    "image_recall_at_fpr_0.2",
    "image_fpr_at_recall_0.95",
    "precision",
    "f1",
]


def images(rng: np.random.Generator, good: int, defective: int, *, shift: float, steps: int = 0) -> ImageSet:
    scores = [rng.normal(size=good), rng.normal(size=defective) + shift]
    if steps:  # many ties
        scores = [np.round(part * steps) / steps for part in scores]
    return ImageSet(scores[0], scores[1], scores[0] >= 1.0, scores[1] >= 1.0)


def plainly(images: ImageSet, good: np.ndarray, defective: np.ndarray) -> dict[str, float]:
    """Measure one resample by repeating its images."""
    scores = np.concatenate([np.repeat(images.good, good), np.repeat(images.defective, defective)])
    labels = np.concatenate([np.zeros(good.sum(), int), np.ones(defective.sum(), int)])
    rejected = np.concatenate(
        [np.repeat(images.rejected_good, good), np.repeat(images.rejected_defective, defective)]
    ).astype(int)
    thresholds = np.unique(scores)
    recalls = np.array([(scores[labels == 1] >= t).mean() for t in thresholds] + [0.0])
    rates = np.array([(scores[labels == 0] >= t).mean() for t in thresholds] + [0.0])
    precision, recall, _ = precision_recall_curve(labels, scores)
    return {
        "image_auroc": roc_auc_score(labels, scores),
        "image_ap": average_precision_score(labels, scores),
        "image_f1max": float((2 * precision * recall / np.maximum(precision + recall, 1e-300)).max()),
        "image_recall_at_fpr_0.05": recalls[rates <= 0.05].max(),
        "image_recall_at_fpr_0.2": recalls[rates <= 0.2].max(),
        "image_fpr_at_recall_0.95": rates[recalls >= 0.95].min(),
        "precision": precision_score(labels, rejected) if rejected.any() else np.nan,
        "f1": f1_score(labels, rejected),
    }


@pytest.mark.parametrize("steps", [0, 2])
def test_weighted_metrics_are_those_of_the_images_repeated(steps: int) -> None:
    rng = np.random.default_rng(steps)
    part = images(rng, 31, 17, shift=1.0, steps=steps)
    good, defective = draw_weights(rng, 31, 40), draw_weights(rng, 17, 40)
    found = weighted_metrics(part, NAMES, good, defective)
    for row in range(40):
        for name, value in plainly(part, good[row], defective[row]).items():
            assert found[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_a_resample_draws_as_many_images_as_there_are_and_each_equally_often() -> None:
    weights = draw_weights(np.random.default_rng(0), 50, 4000)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.08)


def test_the_bootstrap_is_the_plain_loop_with_the_same_resamples() -> None:
    rng = np.random.default_rng(3)
    a, b = images(rng, 25, 20, shift=1.0), images(rng, 25, 20, shift=1.5)
    found = paired_metrics(a, b, ["image_auroc", "precision"], np.random.default_rng(7), resamples=300)
    draws = [
        plainly(b, good, defective)["image_auroc"] - plainly(a, good, defective)["image_auroc"]
        for chunk in weight_chunks(np.random.default_rng(7), 25, 20, 300)
        for good, defective in zip(*chunk)
    ]
    auroc = found.differences["image_auroc"]
    assert auroc.interval == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-12)
    beyond = min((np.array(draws) <= 1e-12).sum(), (np.array(draws) >= -1e-12).sum())
    assert auroc.p == pytest.approx(min(1.0, 2 * (beyond + 1) / 301))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    rng = np.random.default_rng(3)
    a, b = images(rng, 25, 20, shift=1.0), images(rng, 25, 20, shift=1.5)
    intervals = [
        paired_metrics(a, b, ["image_auroc"], np.random.default_rng(seed), resamples=300)
        .differences["image_auroc"]
        .interval
        for seed in (1, 1, 2)
    ]
    assert intervals[0] == intervals[1] != intervals[2]


def test_the_interval_of_an_auroc_difference_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[ImageSet, ImageSet]:
        shared = rng.normal(size=n), rng.normal(size=n) + 1.2

        def run(gain: float) -> ImageSet:
            good, defective = (part + 0.6 * rng.normal(size=n) for part in shared)
            return ImageSet(good, defective + gain, good >= 1, defective >= 1)

        return run(0.0), run(0.5)

    big = [weighted_metrics(part, ["image_auroc"])["image_auroc"][0] for part in draw(200_000)]
    truth = big[1] - big[0]
    held = []
    for _ in range(300):
        found = paired_metrics(*draw(50), ["image_auroc"], rng, resamples=400).differences["image_auroc"]
        assert found.interval is not None
        held.append(found.interval[0] <= truth <= found.interval[1])
    assert 0.91 <= np.mean(held) <= 0.99


def test_runs_that_are_equally_good_are_called_different_in_about_one_of_twenty_cases() -> None:
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(300):
        found = paired_metrics(
            images(rng, 50, 50, shift=1.0), images(rng, 50, 50, shift=1.0), ["image_auroc"], rng, resamples=300
        )
        verdicts.append(found.differences["image_auroc"].verdict)
    assert set(verdicts) <= {"not shown", "better", "worse"}
    assert 0.01 <= np.mean([verdict != "not shown" for verdict in verdicts]) <= 0.09


def test_where_all_resamples_agree_there_is_no_interval_instead_of_one_without_width() -> None:
    scores = ImageSet(np.zeros(9), np.ones(9), np.zeros(9, bool), np.ones(9, bool))
    found = paired_metrics(scores, scores, ["image_auroc"], np.random.default_rng(0), resamples=200)
    auroc = found.differences["image_auroc"]
    assert (auroc.a, auroc.b, auroc.difference, auroc.interval, auroc.p) == (1.0, 1.0, 0.0, None, None)
    assert (auroc.verdict, auroc.to_json()["interval"]) == ("not tested", None)
    assert "every resample" in str(auroc.reason)
    assert bootstrap_interval(np.zeros(100), confidence=0.95) == (None, None)


def test_a_rate_beyond_the_most_extreme_image_has_no_interval() -> None:
    assert images_needed("image_recall_at_fpr_0.01", {"good": 99, "defective": 5}) == "100 good images"
    assert images_needed("image_recall_at_fpr_0.01", {"good": 100, "defective": 5}) is None
    assert images_needed("image_fpr_at_recall_0.95", {"good": 99, "defective": 19}) == "20 defective images"
    assert images_needed("image_fpr_at_recall_0.95", {"good": 99, "defective": 20}) is None
    assert images_needed("image_auroc", {"good": 2, "defective": 2}) is None
    rng = np.random.default_rng(0)
    parts = [images(rng, 30, 30, shift=1.0) for _ in range(2)]
    found = paired_metrics(*parts, ["image_recall_at_fpr_0.01"], rng, resamples=200)
    one = found.differences["image_recall_at_fpr_0.01"]
    assert (one.interval, one.verdict) == (None, "not tested")
    assert one.difference is not None
    assert found.draws == {}


def test_precision_without_a_rejected_image_is_not_compared() -> None:
    rng = np.random.default_rng(0)
    a = images(rng, 20, 20, shift=1.0)
    b = ImageSet(a.good, a.defective, np.zeros(20, bool), np.zeros(20, bool))
    found = paired_metrics(a, b, ["precision"], rng, resamples=200).differences["precision"]
    assert (found.b, found.difference, found.verdict) == (None, None, "not compared")
    assert found.reason == "not defined in B: no image was rejected"


def test_mcnemars_exact_test_is_the_binomial_one() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 * 0.5**6)
    assert mcnemar(8, 1) == mcnemar(1, 8) == pytest.approx(2 * (1 + 9) * 0.5**9)


def test_the_interval_of_a_rate_keeps_a_width_where_no_image_changed() -> None:
    low, high = compare_proportions(0, 0, 20, confidence=0.95)
    assert low == -high
    # By hand: p = 1/22 each way, variance 2p / 22.
    assert high == pytest.approx(1.959964 * np.sqrt((2 / 22) / 22), rel=1e-6)
    assert compare_proportions(20, 0, 20, confidence=0.95)[1] == 1.0


def test_the_interval_of_a_rate_holds_the_truth_at_least_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for n, gained, lost in ((20, 0.10, 0.02), (60, 0.05, 0.05), (200, 0.02, 0.10)):
        counts = rng.multinomial(n, [gained, lost, 1 - gained - lost], size=2000)
        held = [
            low <= gained - lost <= high
            for low, high in (compare_proportions(int(up), int(down), n, confidence=0.95) for up, down, _ in counts)
        ]
        assert np.mean(held) > 0.935, (n, gained, lost)


def test_a_rate_counts_the_images_that_changed() -> None:
    a = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], bool)
    b = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 0], bool)
    found = paired_rate("overkill", a, b, "good")
    assert (found.a, found.b, found.difference) == (0.2, 0.1, pytest.approx(-0.1))
    assert found.facts == {"only_a": 2, "only_b": 1}
    assert found.p == mcnemar(1, 2) == 1.0
    assert found.verdict == "not shown"


@pytest.mark.parametrize(
    ("metric", "b", "verdict"),
    [
        ("image_auroc", 0.9, "better"),
        ("image_auroc", 0.7, "worse"),
        ("overkill", 0.9, "worse"),
        ("escape", 0.7, "better"),
        ("image_fpr_at_recall_0.95", 0.9, "worse"),
        ("pixel_false_regions_per_good_image", 0.9, "worse"),
        ("pixel_aupro_0.05", 0.9, "better"),
        ("review_defective", 0.9, "not shown"),
    ],
)
def test_which_way_a_metric_is_better_is_known(metric: str, b: float, verdict: str) -> None:
    step = b - 0.8
    found = judged(metric, 0.8, b, {}, interval=(step - 0.05, step + 0.05), p=0.001)
    assert found.verdict == verdict


def test_interval_and_p_must_both_speak_for_a_difference() -> None:
    assert judged("image_auroc", 0.8, 0.9, {}, interval=(0.01, 0.2), p=0.06).verdict == "not shown"
    assert judged("image_auroc", 0.8, 0.9, {}, interval=(-0.01, 0.2), p=0.04).verdict == "not shown"
