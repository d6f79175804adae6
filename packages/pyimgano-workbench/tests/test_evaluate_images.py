"""Image metrics against a threshold-by-threshold count, and what happens where one is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from pyimgano.core.errors import ParameterError
from pyimgano.core.files import dumps_json
from pyimgano.workbench.evaluate import (
    by_defect,
    by_group,
    clopper_pearson,
    confusion,
    decision_metrics,
    delong_variance,
    image_curves,
    image_metrics,
)

RATES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5)
RECALLS = (0.5, 0.75, 0.9, 0.95, 1.0)

rows = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({flag for _, flag in rows}) == 2
)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows]) / 3.0, np.array([int(flag) for _, flag in rows])


@settings(max_examples=200, deadline=None)
@given(rows)
def test_recall_at_a_rate_and_the_rate_at_a_recall_are_the_best_of_all_thresholds(rows: list[tuple[int, bool]]) -> None:
    scores, labels = arrays(rows)
    found = image_metrics(scores, labels, recall_at_fpr=RATES, fpr_at_recall=RECALLS)
    n_good, n_defective = int((labels == 0).sum()), int(labels.sum())
    outcomes = [(0, 0)] + [
        (int(((scores >= t) & (labels == 0)).sum()), int(((scores >= t) & (labels == 1)).sum())) for t in set(scores)
    ]
    for rate in RATES:
        metric = found[f"image_recall_at_fpr_{rate:g}"]
        best = max(true for false, true in outcomes if false / n_good <= rate)
        assert metric.facts["count"] == best
        assert metric.value == best / n_defective
        assert metric.facts["interval"] == list(clopper_pearson(best, n_defective))
        threshold = metric.facts["threshold"]
        assert (threshold is None) == (best == 0)
        if threshold is not None:
            assert ((scores >= threshold) & (labels == 1)).sum() == best
            assert ((scores >= threshold) & (labels == 0)).sum() / n_good == metric.facts["fpr"] <= rate
    for recall in RECALLS:
        metric = found[f"image_fpr_at_recall_{recall:g}"]
        best = min(false for false, true in outcomes if true / n_defective >= recall)
        assert metric.facts["count"] == best
        assert metric.value == best / n_good
        threshold = metric.facts["threshold"]
        assert ((scores >= threshold) & (labels == 0)).sum() == best
        assert ((scores >= threshold) & (labels == 1)).sum() / n_defective == metric.facts["recall"] >= recall


def test_a_rate_that_falls_on_an_image_counts_it() -> None:
    # 0.07 × 100 is 7.000000000000001 and 0.29 × 100 is 28.999999999999996: neither may lose or gain an image.
    scores = np.concatenate([np.arange(100.0), np.arange(100.0) + 0.5])
    labels = np.repeat([0, 1], 100)
    found = image_metrics(scores, labels, recall_at_fpr=[0.07, 0.29], fpr_at_recall=[0.07, 0.29])
    assert [found[f"image_recall_at_fpr_{rate}"].facts["fpr"] for rate in (0.07, 0.29)] == [0.07, 0.29]
    assert [found[f"image_fpr_at_recall_{rate}"].facts["recall"] for rate in (0.07, 0.29)] == [0.07, 0.29]


@settings(max_examples=100, deadline=None)
@given(rows, st.sampled_from([0.1, 1.0, 1.4, 2.0, 9.0]))
def test_metrics_at_a_threshold_equal_sklearn(rows: list[tuple[int, bool]], threshold: float) -> None:
    scores, labels = arrays(rows)
    found = decision_metrics(scores, labels, threshold)
    rejected = (scores >= threshold).astype(int)
    assert found["recall"].value == pytest.approx(recall_score(labels, rejected), abs=1e-12)
    assert found["escape"].value == pytest.approx(1.0 - recall_score(labels, rejected), abs=1e-12)
    assert found["overkill"].value == pytest.approx(rejected[labels == 0].mean(), abs=1e-12)
    assert found["f1"].value == pytest.approx(f1_score(labels, rejected, zero_division=0), abs=1e-12)
    if rejected.any():
        assert found["precision"].value == pytest.approx(precision_score(labels, rejected), abs=1e-12)
        low, high = found["precision"].facts["interval"]
        assert low <= found["precision"].value <= high
    else:
        assert found["precision"].value is None


def test_an_image_in_the_review_band_is_neither_rejected_nor_passed() -> None:
    scores = np.array([0.1, 0.4, 0.5, 0.8, 0.2, 0.4, 0.6, 0.8])
    labels = np.repeat([0, 1], 4)
    counts = confusion(scores, labels, 0.8, review_threshold=0.4)
    assert counts == {
        "rejected_defective": 1,
        "rejected_good": 1,
        "passed_good": 1,
        "passed_defective": 1,
        "review_good": 2,
        "review_defective": 2,
    }
    found = decision_metrics(scores, labels, 0.8, review_threshold=0.4)
    assert {name: metric.value for name, metric in found.items()} == {
        "overkill": 0.25,
        "escape": 0.25,
        "precision": 0.5,
        "recall": 0.25,
        "f1": pytest.approx(1 / 3),
        "review_good": 0.5,
        "review_defective": 0.5,
    }
    assert found["review_good"].to_json()["n"] == {"good": 4}
    assert "review_good" not in decision_metrics(scores, labels, 0.8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8, np.bool_])
def test_any_numeric_type_gives_the_metrics_of_its_exact_values(dtype: type) -> None:
    rng = np.random.default_rng(4)
    labels = rng.permutation(np.repeat([0, 1], 50))
    scores = (10 * rng.random(100) + 3 * labels).astype(dtype)
    found = image_metrics(scores, labels)
    assert found["image_auroc"].value == pytest.approx(roc_auc_score(labels, scores.astype(float)), abs=1e-12)
    assert found["image_ap"].value == pytest.approx(average_precision_score(labels, scores.astype(float)), abs=1e-12)
    assert found == image_metrics(scores.astype(np.float64).tolist(), labels.astype(bool))


def test_a_threshold_between_two_float32_scores_is_not_rounded_to_one_of_them() -> None:
    score = np.float32(0.1)  # 0.10000000149
    assert confusion(np.array([score]), np.array([1]), float(score))["rejected_defective"] == 1
    assert confusion(np.array([score]), np.array([1]), np.nextafter(float(score), 1.0))["passed_defective"] == 1


def test_the_auroc_has_delongs_variance_in_its_interval() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], (300, 200))
    scores = rng.normal(size=500) + 1.5 * labels
    metric = image_metrics(scores, labels)["image_auroc"].to_json()
    auroc, variance = delong_variance(scores, labels)
    assert metric["value"] == pytest.approx(auroc, abs=1e-12)
    assert metric["interval_method"] == "delong+newcombe"
    assert metric["confidence"] == 0.95
    step = 1.959964 * math.sqrt(variance) / (auroc * (1 - auroc))
    assert metric["interval"][0] <= 1 / (1 + math.exp(step - math.log(auroc / (1 - auroc)))) + 1e-9
    # Both methods agree where there are many images.
    assert metric["interval"] == pytest.approx([auroc - 2 * variance**0.5, auroc + 2 * variance**0.5], abs=0.01)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, math.nan], [0, 1], "nan at position 1"),
        ([math.inf, 0.1], [0, 1], "inf at position 0"),
        ([0.1, 0.2], [0, 2], "the label 2"),
        ([0.1, 0.2], [0, -1], "the label -1"),
        ([0.1, 0.2], [0, 0.5], "the label 0.5"),
        ([0.1, 0.2], [0, None], "the label None"),
        ([0.1, 0.2], ["good", "bad"], "the label 'good'"),
        ([0.1, 0.2], [0, 1, 1], r"shape \(3,\)"),
        ([[0.1, 0.2]], [0, 1], r"shape \(1, 2\)"),
        (["0.1", "0.2"], [0, 1], "dtype <U3"),
        ([None, 0.2], [0, 1], "dtype object"),
    ],
)
def test_what_is_no_score_or_label_is_refused(scores, labels, message: str) -> None:
    for measure in (image_metrics, lambda s, y: decision_metrics(s, y, 0.5)):
        with pytest.raises(ParameterError, match=message) as refused:
            measure(scores, labels)
        assert refused.value.allowed


def test_thresholds_and_rates_that_mean_nothing_are_refused() -> None:
    scores, labels = np.array([0.1, 0.2]), np.array([0, 1])
    for threshold, review in ((math.nan, None), (math.inf, None), (0.5, 0.5), (0.5, math.nan)):
        with pytest.raises(ParameterError):
            decision_metrics(scores, labels, threshold, review_threshold=review)
    with pytest.raises(ParameterError, match=r"1\.0"):
        image_metrics(scores, labels, recall_at_fpr=[0.01, 1.0])
    with pytest.raises(ParameterError, match="fpr_at_recall") as refused:
        image_metrics(scores, labels, fpr_at_recall=[0.0])
    assert refused.value.where == "fpr_at_recall"


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1, 1]])
def test_every_metric_is_a_number_or_null_with_a_reason(labels: list[int]) -> None:
    scores = np.arange(len(labels), dtype=float)
    found = {**image_metrics(scores, labels), **decision_metrics(scores, labels, 1.0, review_threshold=0.5)}
    for metric in found.values():
        assert (metric.value is None) == bool(metric.reason)
    assert len(found) == 3 + 2 + 2 + 7
    assert "NaN" not in dumps_json({name: metric.to_json() for name, metric in found.items()})


def test_defects_are_measured_one_by_one_against_all_good_images() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.15, 0.35, 0.7])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    defects = [None, None, None, "scratch", "scratch", "scratch", "dent", "dent", None]
    found = by_defect(scores, labels, defects, 0.38, review_threshold=0.2)
    assert list(found) == ["dent", "scratch"]
    assert found["scratch"]["n"] == 2  # the good image that bears its name does not count
    assert found["scratch"]["image_auroc"].value == 1.0
    assert found["scratch"]["image_auroc"].n == {"good": 4, "defective": 2}
    assert found["dent"]["image_auroc"].value == roc_auc_score([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.15, 0.35])
    assert found["dent"]["recall"].value == 0.0
    assert found["dent"]["escape"].value == 0.5  # the other one goes to review
    assert found["dent"]["escape"].facts["interval"] == list(clopper_pearson(1, 2))
    assert by_defect(scores, labels, [None] * 9, 0.38) == {}


def test_groups_are_measured_within_themselves() -> None:
    scores = np.array([0.1, 0.6, 0.7, 0.5, 0.2, 0.9])
    labels = np.array([0, 0, 1, 1, 0, 1])
    found = by_group(scores, labels, ["lot 2", "lot 2", "lot 2", "lot 2", "lot 1", None], 0.55)
    assert list(found) == ["lot 1", "lot 2"]
    lot = found["lot 2"]
    assert (lot["n_good"], lot["n_defective"]) == (2, 2)
    assert lot["image_auroc"].value == 0.75
    assert (lot["overkill"].value, lot["escape"].value) == (0.5, 0.5)
    assert found["lot 1"]["overkill"].value == 0.0
    assert found["lot 1"]["image_auroc"].to_json() == {
        "value": None,
        "n": {"good": 1, "defective": 0},
        "reason": "no defective test images",
    }


@pytest.mark.parametrize("digits", [1, 6], ids=["ties", "no ties"])
def test_every_point_of_a_curve_is_what_its_threshold_gives(digits: int) -> None:
    rng = np.random.default_rng(6)
    labels = rng.permutation(np.repeat([0, 1], (150, 90)))
    scores = np.round(rng.normal(size=labels.size) + labels, digits)
    curves = image_curves(scores, labels)
    for rate, recall, threshold in curves["roc"]:
        assert rate == pytest.approx((scores[labels == 0] >= threshold).mean(), abs=1e-12)
        assert recall == pytest.approx((scores[labels == 1] >= threshold).mean(), abs=1e-12)
    for recall, precision, threshold in curves["pr"]:
        assert recall == pytest.approx((scores[labels == 1] >= threshold).mean(), abs=1e-12)
        assert precision == pytest.approx(labels[scores >= threshold].mean(), abs=1e-12)
    x, y, _ = np.array(curves["roc"]).T
    assert np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert image_curves(scores, np.zeros_like(labels)) == {}
