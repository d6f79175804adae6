"""The metrics against scikit-learn, and AUPRO against MVTec's definition written out plainly."""

from __future__ import annotations

from bisect import bisect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as connected
from scipy.stats import binom
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from pyimgano.workbench.evaluate import (
    MapSpool,
    Ranking,
    clopper_pearson,
    confusion,
    decision_metrics,
    image_metrics,
    pixel_metrics,
)


def official_aupro(maps: list[np.ndarray], masks: list[np.ndarray], limit: float) -> float:
    """Follow MVTec's definition step by step, with full arrays of all pixels and a curve point per distinct score."""
    scores, false_steps, overlap_steps, n_good, n_regions = [], [], [], 0, 0
    for anomaly_map, mask in zip(maps, masks):
        regions, count = connected(mask, structure=np.ones((3, 3), dtype=int))
        n_regions += count
        n_good += int((regions == 0).sum())
        overlap_step = np.zeros(mask.shape)
        for number in range(1, count + 1):
            overlap_step[regions == number] = 1.0 / (regions == number).sum()
        scores.append(anomaly_map.ravel())
        false_steps.append((regions == 0).ravel().astype(float))
        overlap_steps.append(overlap_step.ravel())
    flat = np.concatenate(scores)
    order = np.argsort(flat)[::-1]
    flat = flat[order]
    rates = np.cumsum(np.concatenate(false_steps)[order]) / n_good
    overlaps = np.cumsum(np.concatenate(overlap_steps)[order]) / n_regions
    last_of_ties = np.append(np.diff(flat) != 0, True)
    x = [0.0, *np.clip(rates[last_of_ties], 0, 1), 1.0]
    y = [0.0, *np.clip(overlaps[last_of_ties], 0, 1), 1.0]
    area = 0.0
    if limit not in x:
        position = bisect(x, limit)
        assert 0 < position < len(x)
        share = (limit - x[position - 1]) / (x[position] - x[position - 1])
        height = y[position - 1] + (y[position] - y[position - 1]) * share
        area += 0.5 * (height + y[position - 1]) * (limit - x[position - 1])
    kept = [(a, b) for a, b in zip(x, y) if a <= limit]
    for (x0, y0), (x1, y1) in zip(kept, kept[1:]):
        area += 0.5 * (y0 + y1) * (x1 - x0)
    return area / limit


def measure(maps: list[np.ndarray], masks: list[np.ndarray], limit: float = 0.3) -> dict[str, float | None]:
    flags = [bool(mask.any()) for mask in masks]
    found = pixel_metrics(lambda i: (maps[i], masks[i]), flags, limits=[0.3, limit]).metrics
    values = {name: metric.value for name, metric in found.items()}
    return {**values, "pixel_aupro": values["pixel_aupro" if limit == 0.3 else f"pixel_aupro_{limit:g}"]}


def random_case(rng: np.random.Generator, *, levels: int | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    maps, masks = [], []
    for index in range(6):
        shape = (int(rng.integers(8, 40)), int(rng.integers(8, 40)))
        mask = np.zeros(shape, dtype=bool)
        if index % 3:
            for _ in range(int(rng.integers(1, 4))):
                top, left = int(rng.integers(0, shape[0] - 2)), int(rng.integers(0, shape[1] - 2))
                mask[top : top + int(rng.integers(1, 9)), left : left + int(rng.integers(1, 9))] = True
        scores = rng.normal(size=shape) + 1.2 * mask
        if levels is not None:
            scores = np.round(scores * levels) / levels
        maps.append(scores.astype(np.float32))
        masks.append(mask)
    return maps, masks


@pytest.mark.parametrize("levels", [None, 20, 2], ids=["no ties", "ties", "many ties"])
@pytest.mark.parametrize("seed", range(5))
def test_pixel_metrics_equal_sklearn_and_the_official_definition(seed: int, levels: int | None) -> None:
    maps, masks = random_case(np.random.default_rng(seed), levels=levels)
    flat, truth = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    for limit in (0.05, 0.3, 1.0):
        found = measure(maps, masks, limit)
        assert found["pixel_aupro"] == pytest.approx(official_aupro(maps, masks, limit), abs=1e-6)
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(truth, flat), abs=1e-6)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(truth, flat), abs=1e-6)
    precision, recall, _ = precision_recall_curve(truth, flat)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert found["pixel_f1max"] == pytest.approx(f1.max(), abs=1e-6)


def hand_made() -> dict[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    corner = np.zeros((12, 12), dtype=bool)
    corner[:3, :4] = True
    corner[9:, 11:] = True
    touching = np.zeros((10, 10), dtype=bool)
    touching[2, 2] = touching[3, 3] = touching[4, 2] = True  # one region with 8 neighbours, three with 4
    small_and_large = np.zeros((20, 20), dtype=bool)
    small_and_large[1, 1] = True
    small_and_large[5:15, 5:18] = True
    whole_but_one = np.ones((6, 6), dtype=bool)
    whole_but_one[0, 0] = False
    ramp = np.arange(400, dtype=np.float32).reshape(20, 20)
    good = np.zeros((12, 12), dtype=bool)
    return {
        "constant map": ([np.full((12, 12), 3.0, np.float32)], [corner]),
        "perfect": ([corner.astype(np.float32)], [corner]),
        "upside down": ([1.0 - corner.astype(np.float32)], [corner]),
        "regions at the border": ([ramp[:12, :12].copy(), ramp[4:16, 4:16].copy()], [corner, good]),
        "touching at corners": ([ramp[:10, :10].copy()], [touching]),
        "small beside large": ([-ramp], [small_and_large]),
        "one good pixel": ([ramp[:6, :6].copy()], [whole_but_one]),
        "ties between good and defective": ([(ramp // 50).astype(np.float32)], [small_and_large]),
        "negative scores": ([ramp - 1000.0], [small_and_large]),
        "very close scores": ([(1.0 + ramp * np.finfo(np.float32).eps).astype(np.float32)], [small_and_large]),
    }


@pytest.mark.parametrize("name", list(hand_made()))
def test_hand_made_cases_equal_the_official_definition(name: str) -> None:
    maps, masks = hand_made()[name]
    for limit in (0.01, 0.3, 0.999, 1.0):
        assert measure(maps, masks, limit)["pixel_aupro"] == pytest.approx(official_aupro(maps, masks, limit), abs=1e-6)
    flat, truth = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    assert measure(maps, masks)["pixel_auroc"] == pytest.approx(roc_auc_score(truth, flat), abs=1e-6)


def test_known_values_of_aupro() -> None:
    maps, masks = hand_made()["perfect"]
    assert measure(maps, masks)["pixel_aupro"] == pytest.approx(1.0)
    maps, masks = hand_made()["upside down"]
    assert measure(maps, masks)["pixel_aupro"] == pytest.approx(0.0)
    maps, masks = hand_made()["constant map"]  # the diagonal: the area below it up to 0.3, over 0.3
    assert measure(maps, masks)["pixel_aupro"] == pytest.approx(0.15)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({flag for _, flag in rows}) == 2
    )
)
def test_image_metrics_equal_sklearn_with_any_ties(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=float) / 3.0
    labels = np.array([flag for _, flag in rows], dtype=int)
    found = image_metrics(scores, labels)
    assert found["image_auroc"].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found["image_ap"].value == pytest.approx(average_precision_score(labels, scores), abs=1e-9)
    f1 = {t: 2 * ((scores >= t) & (labels == 1)).sum() / ((scores >= t).sum() + labels.sum()) for t in scores}
    assert found["image_f1max"].value == pytest.approx(max(f1.values()), abs=1e-9)
    threshold = found["image_f1max"].facts["threshold"]
    assert f1[threshold] == pytest.approx(max(f1.values()))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([0, 0], "no defective test images"), ([1], "no good test images"), ([], "no good and no defective test images")],
)
def test_what_is_not_defined_is_null_with_a_reason(labels: list[int], reason: str) -> None:
    scores = np.arange(len(labels), dtype=float)
    found = image_metrics(scores, np.array(labels))
    assert {metric.value for metric in found.values()} == {None}
    assert found["image_auroc"].to_json()["reason"] == reason
    decided = decision_metrics(scores, np.array(labels), 0.5)
    for name, needed in (("overkill", 0), ("escape", 1), ("recall", 1)):
        assert (decided[name].value is None) == (needed not in labels)


def test_pixel_metrics_without_defective_or_good_pixels_are_null_with_a_reason() -> None:
    ramp = np.arange(12, dtype=np.float32).reshape(3, 4)
    for mask, reason in ((np.zeros((3, 4), bool), "no defective pixels"), (np.ones((3, 4), bool), "no good pixels")):
        found = pixel_metrics(lambda i, mask=mask: (ramp, mask), [True]).metrics
        free = [name for name in found if "region" not in name and "segf1" not in name]
        assert all(found[name].value is None and reason in str(found[name].reason) for name in free)


def test_a_score_equal_to_the_threshold_is_rejected() -> None:
    scores, labels = np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 0, 1, 1])
    assert confusion(scores, labels, 2.0) == {
        "rejected_defective": 2,
        "rejected_good": 1,
        "passed_good": 1,
        "passed_defective": 0,
    }
    found = decision_metrics(scores, labels, 2.0)
    assert found["overkill"].to_json()["n"] == {"good": 2}
    assert found["precision"].value == pytest.approx(2 / 3)


def test_no_rejection_leaves_precision_undefined() -> None:
    found = decision_metrics(np.array([1.0, 2.0]), np.array([0, 1]), 9.0)
    assert found["precision"].to_json() == {"value": None, "n": {"rejected": 0}, "reason": "no rejected test images"}
    assert found["escape"].value == 1.0


def test_clopper_pearson_ends_are_where_the_binomial_tail_is_half_of_alpha() -> None:
    assert clopper_pearson(0, 100)[0] == 0.0
    assert clopper_pearson(0, 100)[1] == pytest.approx(0.0362, abs=1e-4)  # "0 of 100 leaves an upper bound near 3.6 %"
    assert clopper_pearson(10, 10)[1] == 1.0
    for successes, n in ((1, 10), (7, 40), (39, 40)):
        low, high = clopper_pearson(successes, n)
        assert binom.sf(successes - 1, n, low) == pytest.approx(0.025)
        assert binom.cdf(successes, n, high) == pytest.approx(0.025)


def test_a_ranking_counts_good_scores_in_any_order_and_grouping() -> None:
    rng = np.random.default_rng(0)
    defective, good = rng.normal(1, 1, 50), rng.normal(size=1000)
    at_once, piecewise = Ranking(defective), Ranking(defective)
    at_once.add_good(good)
    for piece in np.array_split(rng.permutation(good), 13):
        piecewise.add_good(piece)
    assert at_once.auroc() == piecewise.auroc()
    assert at_once.f1_max() == piecewise.f1_max()


def test_a_spool_gives_maps_of_any_size_back_and_leaves_no_file(tmp_path) -> None:
    rng = np.random.default_rng(1)
    maps = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (5, 1), (2, 2))]
    spool = MapSpool(tmp_path / "maps")
    spool.append(maps[0])
    spool.append(None)
    spool.append(maps[1])
    assert np.array_equal(spool.read(0), maps[0])  # while it is still being written
    spool.append(maps[2])
    assert not spool.has(1)
    assert np.array_equal(spool.read(2), maps[1])
    assert np.array_equal(spool.read(3), maps[2])
    spool.close()
    assert list(tmp_path.iterdir()) == []
