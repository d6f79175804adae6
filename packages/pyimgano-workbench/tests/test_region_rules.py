"""Rules on regions against scikit-image, SciPy and searches that look at every pair. Takes about 5 s."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.images import read_image
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.region_shapes import closed, disc, extended, filled, length_of, merged, opened
from pyimgano.workbench.regions import FoundRegions, find_regions

SKIMAGE = Path(importlib.util.find_spec("skimage").origin).parent / "data"


def random_map(seed: int, size: int = 48, sigma: float = 2.0) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(size, size))
    return gaussian_filter(noise, sigma).astype(np.float32)


def found(values: np.ndarray, threshold: float = 0.5, low: float | None = None, **rules: object) -> FoundRegions:
    policy = RegionPolicy(**{"limit": 10_000, **rules})  # type: ignore[arg-type]
    return find_regions(values.astype(np.float32), values.shape, threshold, policy, low=low)


def scratch(length: int = 60, thickness: int = 1) -> np.ndarray:
    """A thin line from corner to corner, beside a small speck."""
    import cv2

    drawn = np.zeros((80, 80), np.uint8)
    cv2.line(drawn, (10, 10), (10 + length // 2, 10 + length), 1, thickness)
    drawn[70:73, 5:8] = 1
    return drawn.astype(np.float32)


def test_hysteresis_is_that_of_scikit_image() -> None:
    from skimage.filters import apply_hysteresis_threshold
    from skimage.measure import label

    compared = several = 0
    for seed in range(40):
        values = random_map(seed)
        high, low = float(np.quantile(values, 0.97)), float(np.quantile(values, 0.85))
        mask = found(values, high, low).mask
        wide = label(values >= low, connectivity=2)
        kept = np.unique(wide[values >= high])
        assert np.array_equal(mask, np.isin(wide, kept[kept > 0]))
        several += wide.max() > len(kept) > 1
        # scikit-image joins pixels by their sides only: the same where no two touch by a corner alone.
        if label(values > low, connectivity=1).max() == wide.max():
            assert np.array_equal(mask, apply_hysteresis_threshold(values, low, high))
            compared += 1
    assert compared >= 10
    assert several >= 10


def test_a_low_threshold_that_is_the_high_one_changes_nothing() -> None:
    values = random_map(3)
    high = float(np.quantile(values, 0.9))
    plain, same = found(values, high), found(values, high, high)
    assert plain.regions == same.regions
    assert np.array_equal(plain.mask, same.mask)


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_opening_and_closing_are_those_of_scikit_image_by_a_disc(radius: int) -> None:
    from scipy.ndimage import binary_closing, binary_opening
    from skimage.morphology import disk

    assert np.array_equal(disc(radius), disk(radius))
    mask = np.zeros((80, 80), bool)
    mask[16:64, 16:64] = random_map(7, 48) > 0.05
    footprint = disk(radius).astype(bool)
    assert np.array_equal(opened(mask, radius), binary_opening(mask, footprint))
    assert np.array_equal(closed(mask, radius), binary_closing(mask, footprint))
    assert not np.array_equal(opened(mask, radius), mask)


def test_opening_does_not_eat_what_lies_at_the_edge_of_the_image() -> None:
    mask = np.zeros((30, 30), bool)
    mask[:, :6] = True
    assert np.array_equal(opened(mask, 3), mask)


def test_what_an_opening_takes_away_is_told() -> None:
    values = scratch()
    values[30:50, 50:70] = 2.0
    result = found(values, open=3)
    assert result.kept == 1
    assert result.removed == {"open": 2}
    removed = [region for region in result.regions if region.removed_by]
    assert {region.removed_by for region in removed} == {"open"}
    assert sorted(region.area for region in removed) == [9, 61]
    assert not result.mask[:, :20].any()
    assert result.last_removed_by is None
    assert found(scratch(), open=3).last_removed_by == "open"


def test_a_thin_scratch_survives_the_least_area_by_its_length_and_a_speck_does_not() -> None:
    values = scratch()
    by_area = found(values, min_area=100)
    assert by_area.kept == 0
    assert by_area.removed == {"min_area": 2}
    by_length = found(values, min_area=100, min_length=50)
    assert by_length.kept == 1
    assert by_length.removed == {"min_area": 1}
    (kept,) = [region for region in by_length.regions if region.removed_by is None]
    assert kept.area == 61
    assert by_length.mask.sum() == 61


@pytest.mark.parametrize(("dx", "dy"), [(40, 0), (0, 40), (30, 40), (24, 7)])
def test_the_length_of_a_straight_line_is_its_length_however_it_lies(dx: int, dy: int) -> None:
    import cv2

    drawn = np.zeros((50, 50), np.uint8)
    cv2.line(drawn, (2, 3), (2 + dx, 3 + dy), 1, 1)
    assert length_of(drawn > 0) == pytest.approx(np.hypot(dx, dy) + 1, abs=0.6)
    assert length_of(np.ones((1, 1), bool)) == 1.0


def test_too_large_a_region_is_removed_and_says_so() -> None:
    values = scratch()
    values[10:60, 45:75] = 1.0
    result = found(values, max_area=1000)
    assert result.removed == {"max_area": 1}
    assert not result.mask[30, 50]
    assert result.kept == 2


def test_holes_are_filled_and_count_as_area() -> None:
    values = np.zeros((30, 30))
    values[5:20, 5:20] = 1.0
    values[9:14, 9:14] = 0.0
    assert found(values).regions[0].area == 200
    full = found(values, fill=True)
    assert full.regions[0].area == 225
    assert full.mask[11, 11]


@pytest.mark.parametrize("seed", range(4))
def test_a_rule_looks_only_where_something_is_and_gives_what_it_gives_on_the_whole(seed: int) -> None:
    from scipy.ndimage import binary_fill_holes

    mask = random_map(seed, 48) > -0.1
    if seed % 2:  # touches no edge of a larger image
        mask = np.pad(mask, 20)
    assert np.array_equal(filled(mask), binary_fill_holes(mask))
    assert filled(mask).sum() > mask.sum()
    assert not filled(np.zeros((9, 9), bool)).any()
    wide = np.pad(mask, 40)  # what lies beyond the margin changes nothing
    assert np.array_equal(closed(wide, 3)[40:-40, 40:-40] & mask, mask)
    assert np.array_equal(opened(wide, 3), np.pad(opened(np.pad(mask, 8), 3), 32))


def test_closing_joins_the_pieces_of_a_broken_defect() -> None:
    values = np.zeros((30, 60))
    for start in range(5, 50, 6):
        values[10:14, start : start + 4] = 1.0
    assert found(values).kept == 8
    whole = found(values, close=2)
    assert whole.kept == 1
    assert whole.regions[0].box[2] == 46


@pytest.mark.parametrize("distance", [1, 2, 3, 5])
def test_regions_that_are_near_become_one_as_a_search_over_all_pairs_of_pixels_finds(distance: int) -> None:
    from scipy.ndimage import label
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial.distance import cdist

    values = random_map(11, 64, 1.2)
    mask = values > np.quantile(values, 0.94)
    labels, count = label(mask, np.ones((3, 3)))
    assert count > 8
    points = [np.argwhere(labels == number + 1) for number in range(count)]
    near = [[cdist(a, b).min() <= distance + 1 for b in points] for a in points]
    groups, expected = connected_components(np.array(near), directed=False)
    boxes = []
    for part in points:
        (top, left), (bottom, right) = part.min(axis=0), part.max(axis=0)
        boxes.append((left, top, right - left + 1, bottom - top + 1))
    own = merged(labels.astype(np.int32), np.array(boxes), distance)
    assert len(np.unique(own)) == groups
    assert {tuple(np.flatnonzero(own == n)) for n in np.unique(own)} == {
        tuple(np.flatnonzero(expected == n)) for n in range(groups)
    }
    result = found(values, float(np.nextafter(np.quantile(values, 0.94), 1)), merge=distance)
    assert result.kept == groups
    assert sum(region.area for region in result.regions) == mask.sum()
    assert np.array_equal(result.mask, mask)  # what lies between belongs to none


def test_merged_regions_are_measured_as_one() -> None:
    values = np.zeros((20, 40))
    values[5:8, 2:12] = 1.0
    values[5:8, 14:24] = 3.0
    assert found(values, min_area=50).kept == 0
    (region,) = found(values, min_area=50, merge=2).regions
    assert (region.box, region.area, region.score, region.removed_by) == ((2, 5, 22, 3), 60, 3.0, None)


def test_nothing_outside_of_what_counts_is_in_a_region_whatever_the_rules() -> None:
    values = random_map(5)
    inside = np.zeros(values.shape, bool)
    inside[10:30, 12:40] = True
    high, low = float(np.quantile(values, 0.9)), float(np.quantile(values, 0.6))
    policy = RegionPolicy(close=3, fill=True, merge=3, limit=1000)
    result = find_regions(values, values.shape, high, policy, low=low, inside=inside)
    assert result.kept
    assert not result.mask[~inside].any()
    for region in result.regions:
        x, y, width, height = region.box
        assert x >= 12
        assert y >= 10
        assert x + width <= 40
        assert y + height <= 30


def test_no_default_removes_anything() -> None:
    grey = read_image(SKIMAGE / "gravel.png")[:128, :128, 0].astype(np.float32)
    threshold = float(np.quantile(grey, 0.9))
    result = found(grey, threshold)
    assert result.removed == {}
    assert result.kept == len(result.regions) > 10
    assert np.array_equal(result.mask, grey >= threshold)
    assert RegionPolicy().plain


def test_all_that_is_removed_is_counted_also_what_is_not_listed() -> None:
    grey = read_image(SKIMAGE / "gravel.png")[:128, :128, 0].astype(np.float32)
    threshold = float(np.quantile(grey, 0.9))
    everything = found(grey, threshold, min_area=20)
    few = found(grey, threshold, min_area=20, limit=2)
    assert few.removed == everything.removed
    assert few.kept == everything.kept > 0
    assert few.removed["min_area"] == sum(region.removed_by == "min_area" for region in everything.regions) > 5
    assert few.left_out == len(everything.regions) - 2


def test_a_policy_is_read_back_as_it_was_written_and_writes_only_what_is_set() -> None:
    policy = RegionPolicy(7, 3, 20, 900, 0.5, None, 2, 1, True, 4, "regions")
    assert RegionPolicy.from_json(policy.to_json()) == policy
    assert RegionPolicy(7, 3).to_json() == {"min_area": 7, "limit": 3}
    for wrong in ({"merge": -1}, {"fill": 1}, {"decide": "both"}, {"hysteresis": 1.0}, {"max_area": 0}, {"open": 1.5}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RegionPolicy.from_json({"min_area": 0, "limit": 1, **wrong})


def test_extending_keeps_only_what_is_touched() -> None:
    wide = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]], bool)
    reached = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
    assert np.array_equal(extended(reached, wide), [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
