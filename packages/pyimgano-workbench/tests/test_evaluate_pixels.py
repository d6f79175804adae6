"""Pixel metrics: any type, any order, what is refused, what a threshold does, curves, and the binned mode's bounds."""

from __future__ import annotations

import threading
from typing import Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as connected
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate import PixelResults, Ranking, clopper_pearson, counting, pixel_metrics, thin
from pyimgano.workbench.evaluate.binned import BINS
from pyimgano.workbench.evaluate.counting import GoodCounts
from pyimgano.workbench.evaluate.curves import pr_points, roc_points

FREE = ("pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro", "pixel_aupro_0.05")


def case(
    seed: int, *, n: int = 6, size: int = 48, dtype: str = "float32", levels: Optional[int] = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(n):
        mask = np.zeros((size, size), dtype=bool)
        for _ in range(2 if index % 2 else 0):
            top, left = rng.integers(0, size - 4, 2)
            mask[top : top + rng.integers(2, 14), left : left + rng.integers(2, 14)] = True
        scores = rng.normal(size=mask.shape) + 1.5 * mask
        if levels:
            scores = np.round(scores * levels) / levels
        maps.append(scores.astype(dtype))
        masks.append(mask)
    return maps, masks


def measure(maps: list[np.ndarray], masks: list[np.ndarray], **options: object) -> PixelResults:
    flags = [bool(mask.any()) for mask in masks]
    return pixel_metrics(lambda i: (maps[i], masks[i]), flags, **options)  # type: ignore[arg-type]


def values_of(results: PixelResults) -> dict[str, Optional[float]]:
    return {name: metric.value for name, metric in results.metrics.items()}


def flat(maps: list[np.ndarray], masks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return all scores, in 64 bits: NumPy would round a threshold to the type of the scores."""
    return np.concatenate([m.ravel() for m in maps]).astype(np.float64), np.concatenate([m.ravel() for m in masks])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_maps_of_any_float_type_are_measured_exactly(dtype: str) -> None:
    maps, masks = case(1, dtype=dtype)
    scores, truth = flat(maps, masks)
    found = values_of(measure(maps, masks))
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(truth, scores), abs=1e-9)


def test_scores_that_only_64_bits_tell_apart_are_told_apart() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:4, 2:4] = True
    scores = 1.0 + mask * 1e-12
    assert measure([scores], [mask]).metrics["pixel_auroc"].value == 1.0
    assert measure([scores.astype(np.float32)], [mask]).metrics["pixel_auroc"].value == 0.5


@pytest.mark.parametrize("mode", ["exact", "binned"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("image", [2, 3], ids=["good image", "defective image"])
def test_a_map_that_is_not_finite_is_refused_and_its_image_named(mode: str, wrong: float, image: int) -> None:
    maps, masks = case(2)
    maps[image][5, 7] = wrong
    with pytest.raises(ParameterError, match=f"image {image}.*row 5, column 7|row 5, column 7.*") as caught:
        measure(maps, masks, mode=mode)
    assert f"image {image}" in str(caught.value)


def test_what_cannot_be_measured_is_refused() -> None:
    maps, masks = case(3)
    with pytest.raises(ParameterError, match="image 1"):
        measure(maps, [masks[0], masks[1][:-1], *masks[2:]])
    with pytest.raises(ParameterError, match="good image has defective pixels"):
        pixel_metrics(lambda i: (maps[i], masks[i]), [False] * len(maps))
    with pytest.raises(ParameterError, match="float64"):
        measure([maps[0].astype(np.float64), *maps[1:]], masks)
    for options in ({"limits": [0.0]}, {"limits": [1.5]}, {"mode": "quick"}, {"threshold": float("nan")}):
        with pytest.raises(ParameterError):
            measure(maps, masks, **options)


@pytest.mark.parametrize("mode", ["exact", "binned"])
def test_a_threshold_is_measured_as_its_definitions_say(mode: str) -> None:
    maps, masks = case(4)
    maps[2][10, 10] = 9.0  # a region of one pixel in a good image, which min_area drops
    scores, truth = flat(maps, masks)
    for threshold, min_area in ((1.3, 0), (1.3, 2), (-50.0, 0), (50.0, 0)):
        found = measure(maps, masks, threshold=threshold, min_area=min_area, mode=mode)
        metrics = found.metrics
        assert metrics["pixel_segf1"].value == pytest.approx(f1_score(truth, scores >= threshold), abs=1e-12)
        hit, total, false = 0, 0, 0
        for anomaly_map, mask in zip(maps, masks):
            regions, count = connected(mask, structure=np.ones((3, 3), int))
            total += count
            hit += len(set(regions[(anomaly_map >= threshold) & mask].tolist()))
            if not mask.any():
                predicted, count = connected(anomaly_map >= threshold, structure=np.ones((3, 3), int))
                false += int((np.bincount(predicted.ravel())[1:] >= max(min_area, 1)).sum())
        recall = metrics["pixel_region_recall"].to_json()
        assert recall["value"] == hit / total
        assert recall["interval"] == list(clopper_pearson(hit, total))
        assert metrics["pixel_false_regions_per_good_image"].to_json() == {
            "value": false / 3,
            "n": {"good": 3},
            "count": false,
            "threshold": threshold,
            "min_area": min_area,
        }
        assert sum(a for a, _ in found.region_counts.values()) == hit
        assert set(found.region_counts) == {1, 3, 5}


def test_a_pixel_is_predicted_where_its_score_reaches_the_threshold_in_full_precision() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = True
    scores = np.full((4, 4), 0.0, dtype=np.float32)
    scores[0, 0] = np.float32(0.1)  # a little more than 0.1
    for threshold, reached in ((0.1, 1.0), (float(np.float32(0.1)), 1.0), (0.1000000016, 0.0)):
        found = measure([scores], [mask], threshold=threshold)
        assert found.metrics["pixel_segf1"].value == reached


def test_without_defects_only_false_regions_are_known_and_without_good_images_they_are_not() -> None:
    maps, masks = case(5)
    good = measure([maps[0], maps[2]], [masks[0], masks[2]], threshold=1.0)
    assert good.metrics["pixel_auroc"].to_json()["reason"] == "no defective pixels in the ground truth"
    assert good.metrics["pixel_segf1"].value is None
    assert good.metrics["pixel_false_regions_per_good_image"].value is not None
    assert good.curves == {}
    bad = measure([maps[1]], [masks[1]], threshold=1.0)
    assert bad.metrics["pixel_false_regions_per_good_image"].to_json()["reason"] == "no good test images"
    assert measure(maps, masks).metrics["pixel_segf1"].reason == "no pixel threshold"


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_values=st.integers(1, 60),
    levels=st.sampled_from([2, 8, 200, 0]),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e6, 1e30]),
    dtype=st.sampled_from(["float32", "float64"]),
    outlier=st.sampled_from([None, "good", "defective"]),
)
def test_good_scores_are_counted_exactly_by_any_grid(
    seed: int, n_values: int, levels: int, scale: float, dtype: str, outlier: Optional[str]
) -> None:
    rng = np.random.default_rng(seed)
    values, good = rng.normal(1, 1, n_values), rng.normal(size=700)
    if levels:
        values, good = np.round(values * levels) / levels, np.round(good * levels) / levels
    if outlier == "good":
        good[::50] = 1e6
    elif outlier == "defective":
        values[0] = -1e6
    values, good = np.unique((values * scale).astype(dtype)), (good * scale).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:  # small enough for the grid to be searched for, filled and counted
        for name, size in (("FEW", 64), ("BLOCK", 32), ("CACHED", 16), ("KEPT", 40)):
            patch.setattr(counting, name, size)
        counts = GoodCounts(values)
        for piece in np.array_split(good, 9):
            counts.add(piece)
        for _ in range(2):  # asking changes nothing
            assert np.array_equal(counts.below(), [(good < value).sum() for value in values])
            tied = counts.tied()
            expected = np.array([(good == value).sum() for value in values])
            assert np.array_equal(expected * 0 if tied is None else tied, expected)
        counts.add(good)
        assert np.array_equal(counts.below(), [2 * (good < value).sum() for value in values])
        assert (counts.total, counts.lowest, counts.highest) == (2 * good.size, good.min(), good.max())


def test_a_grid_serves_large_sets_and_counts_as_sorting_does() -> None:
    rng = np.random.default_rng(0)
    defective = rng.normal(2, 1, 60_000).astype(np.float32)
    good = rng.normal(size=3_000_000).astype(np.float32)
    ranking = Ranking(defective)
    threads = [threading.Thread(target=ranking.add_good, args=(part,)) for part in np.array_split(good, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ranking._good._grid is not None
    values, counts, below, up_to = ranking.tallies()
    ordered = np.sort(good)
    assert np.array_equal(below, np.searchsorted(ordered, values, side="left"))
    assert np.array_equal(up_to, np.searchsorted(ordered, values, side="right"))
    assert int(counts.sum()) == ranking.n_defective


def test_the_results_do_not_depend_on_threads_or_sizes_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, masks = case(8, n=10)
    whole = measure(maps, masks, threshold=1.0)
    for name, size in (("FEW", 512), ("BLOCK", 64), ("CACHED", 50), ("KEPT", 300)):
        monkeypatch.setattr(counting, name, size)
    again = measure(maps, masks, threshold=1.0)
    assert again == whole


def test_the_curves_are_those_of_the_ranking_and_end_where_curves_end() -> None:
    maps, masks = case(6, n=8)
    results = measure(maps, masks)
    scores, truth = flat(maps, masks)
    roc = np.array(results.curves["roc"])
    assert len(roc) <= 500
    assert roc[0, :2].tolist() == [0.0, 0.0]
    assert roc[-1, :2].tolist() == [1.0, 1.0]
    assert np.isfinite(roc).all()
    for fpr, recall, threshold in roc.tolist():  # the point is what its threshold does
        assert fpr == pytest.approx((scores[~truth] >= threshold).mean(), abs=1e-12)
        assert recall == pytest.approx((scores[truth] >= threshold).mean(), abs=1e-12)
    for recall, precision, threshold in results.curves["pr"]:
        assert recall == pytest.approx((scores[truth] >= threshold).mean(), abs=1e-12)
        assert precision == pytest.approx(truth[scores >= threshold].mean(), abs=1e-12)
    area = float(np.sum(np.diff(roc[:, 0]) * (roc[1:, 1] + roc[:-1, 1]) / 2))
    assert area == pytest.approx(results.metrics["pixel_auroc"].value, abs=1e-3)
    pro = np.array(results.curves["pro"])
    assert np.all(np.diff(pro[:, :2], axis=0) >= 0)
    assert pro[-1, 1] == pytest.approx(1.0)


def test_a_long_curve_keeps_within_a_four_thousandth_of_the_full_one() -> None:
    rng = np.random.default_rng(3)
    defective, good = rng.normal(1, 1, 300_000), rng.normal(size=400_000)
    ranking = Ranking(defective)
    ranking.add_good(good)
    labels = np.r_[np.ones(defective.size), np.zeros(good.size)]
    fpr, recall, _ = roc_curve(labels, np.r_[defective, good], drop_intermediate=False)
    points = roc_points(ranking)
    assert len(points) < 40_000
    assert np.abs(np.interp(fpr, points[:, 0], points[:, 1]) - recall).max() < 1 / 2000
    thinned = np.array(thin(points))
    assert len(thinned) == 500
    assert np.abs(np.interp(fpr, thinned[:, 0], thinned[:, 1]) - recall).max() < 1 / 500
    assert len(thin(pr_points(ranking))) <= 500


def test_thinning_keeps_the_ends_and_drops_what_lies_on_a_line() -> None:
    x = np.linspace(0, 1, 5000)
    corner = np.column_stack([x, np.minimum(2 * x, 1.0), 1 - x])
    kept = thin(corner, limit=5)
    assert kept[0] == corner[0].tolist()
    assert kept[-1] == corner[-1].tolist()
    assert min(abs(point[0] - 0.5) for point in kept) < 1e-3
    assert thin(corner[:3]) == corner[:3].tolist()
    for wrong in (np.zeros((3, 2)), np.array([[0.0, 0.0, np.inf]])):
        with pytest.raises(ParameterError):
            thin(wrong)
    with pytest.raises(ParameterError):
        thin(corner, limit=1)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    levels=st.sampled_from([None, 1, 3, 30]),
    shift=st.sampled_from([0.0, 1e4, -3e7]),
    scale=st.sampled_from([1e-6, 1.0, 1e8]),
    outlier=st.sampled_from([None, 1e3, 1e9, -1e6]),
)
def test_the_exact_value_is_within_the_error_of_the_binned_one(
    seed: int, levels: Optional[int], shift: float, scale: float, outlier: Optional[float]
) -> None:
    maps, masks = case(seed, n=4, size=20, dtype="float64", levels=levels)
    maps = [(anomaly_map + shift) * scale for anomaly_map in maps]
    if outlier is not None:
        maps[seed % 4][3, 3] = outlier * scale
    exact, binned = measure(maps, masks), measure(maps, masks, mode="binned")
    for name in FREE:
        metric = binned.metrics[name]
        assert metric.facts["bins"] == BINS
        assert abs(metric.value - exact.metrics[name].value) <= metric.facts["error"], name  # type: ignore[operator]


def test_the_binned_errors_are_small_where_scores_are_spread() -> None:
    maps, masks = case(9, n=12, size=96)
    binned = measure(maps, masks, mode="binned", threshold=1.0)
    assert all(binned.metrics[name].facts["error"] < 1e-3 for name in FREE)
    exact = measure(maps, masks, threshold=1.0)
    for name in ("pixel_segf1", "pixel_region_recall", "pixel_false_regions_per_good_image"):
        assert binned.metrics[name] == exact.metrics[name]
    scores, truth = flat(maps, masks)
    best = binned.metrics["pixel_f1max"]
    assert best.value == pytest.approx(f1_score(truth, scores >= best.facts["threshold"]), abs=1e-9)
    for fpr, recall, threshold in binned.curves["roc"]:
        assert fpr == pytest.approx((scores[~truth] >= threshold).mean(), abs=1e-12)
        assert recall == pytest.approx((scores[truth] >= threshold).mean(), abs=1e-12)
