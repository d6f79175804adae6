"""Regions of a map against a search that looks at one pixel after the other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.images import read_image
from pyimgano.workbench.evaluate.regions import count_regions
from pyimgano.workbench.regions import Region, RegionPolicy, find_regions
from pyimgano.workbench.render import map_at

SKIMAGE = Path(importlib.util.find_spec("skimage").origin).parent / "data"
ALL = RegionPolicy(min_area=0, limit=10_000)


def texture(size: int) -> np.ndarray:
    """A map with many regions of all shapes: the dark places of a photograph of gravel."""
    grey = read_image(SKIMAGE / "gravel.png")[:size, :size, 0].astype(np.float32)
    return 1.0 - grey / np.float32(255.0)


def searched(values: np.ndarray, threshold: float) -> list[set[tuple[int, int]]]:
    """Return the pixels of each region, found by walking from neighbour to neighbour."""
    left = {(int(row), int(column)) for row, column in np.argwhere(values.astype(np.float64) >= threshold)}
    found = []
    while left:
        region, front = set(), [left.pop()]
        while front:
            row, column = front.pop()
            region.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            front.extend(near)
        found.append(region)
    return found


def described(values: np.ndarray, pixels: set[tuple[int, int]], min_area: int) -> Region:
    rows, columns = [row for row, _ in pixels], [column for _, column in pixels]
    box = (min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1)
    peak = max(float(values[pixel]) for pixel in pixels)
    return Region(box, len(pixels), peak, "min_area" if len(pixels) < min_area else None)


@pytest.mark.parametrize("shape", [(64, 64), (100, 150), (37, 20)])
@pytest.mark.parametrize("min_area", [0, 1, 9])
def test_regions_are_those_of_a_pixel_by_pixel_search(shape: tuple[int, int], min_area: int) -> None:
    raw = texture(64)
    full = map_at(raw, shape)
    threshold = float(np.quantile(full, 0.85))
    pixels = searched(full, threshold)
    expected = [described(full, region, min_area) for region in pixels]
    found = find_regions(raw, shape, threshold, RegionPolicy(min_area, limit=10_000))
    assert len(expected) > 5
    assert set(found.regions) == set(expected)
    assert [region.score for region in found.regions] == sorted((region.score for region in expected), reverse=True)
    assert found.left_out == 0
    mask = np.zeros(shape, bool)
    for region in pixels:
        if len(region) >= min_area:
            mask[tuple(np.transpose(list(region)))] = True
    assert np.array_equal(found.mask, mask)
    assert sum(region.removed_by is None for region in found.regions) == count_regions(
        full >= np.float32(threshold), min_area=min_area
    )


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    found = find_regions(np.eye(5, dtype=np.float32), (5, 5), 0.5, ALL)
    assert found.regions == (Region((0, 0, 5, 5), 5, 1.0),)


def test_a_list_is_limited_to_the_highest_scores_and_the_mask_is_not() -> None:
    raw = texture(64)
    threshold = float(np.quantile(raw, 0.9))
    everything = find_regions(raw, raw.shape, threshold, ALL)
    few = find_regions(raw, raw.shape, threshold, RegionPolicy(0, 3))
    assert few.regions == everything.regions[:3]
    assert few.left_out == len(everything.regions) - 3 > 0
    assert np.array_equal(few.mask, everything.mask)


def test_specks_with_higher_scores_do_not_hide_a_region_that_counts() -> None:
    raw = np.zeros((40, 40), np.float32)
    raw[::4, ::4][:5] = np.linspace(2.0, 3.0, 50, dtype=np.float32).reshape(5, 10)
    raw[30:35, 10:20] = 1.0
    found = find_regions(raw, raw.shape, 0.5, RegionPolicy(min_area=2, limit=4))
    assert [region.removed_by for region in found.regions] == ["min_area"] * 3 + [None]
    assert [region.score for region in found.regions[:2]] == [3.0, pytest.approx(3.0 - 1 / 49)]
    assert found.regions[3] == Region((10, 30, 10, 5), 50, 1.0)
    assert found.left_out == 47
    assert int(found.mask.sum()) == 50


def test_regions_of_one_score_are_listed_from_the_top_left() -> None:
    raw = np.zeros((20, 20), np.float32)
    for row, column in ((15, 3), (2, 12), (2, 3)):
        raw[row : row + 2, column : column + 2] = 1.0
    found = find_regions(raw, raw.shape, 1.0, ALL)
    assert [region.box for region in found.regions] == [(3, 2, 2, 2), (12, 2, 2, 2), (3, 15, 2, 2)]


def test_a_threshold_between_two_numbers_of_a_map_is_not_rounded_to_the_lower() -> None:
    value = np.float32(0.1)
    raw = np.full((4, 4), value, np.float32)
    above = (float(value) + float(np.nextafter(value, np.float32(1)))) / 2 - 1e-10
    assert np.float32(above) == value
    assert find_regions(raw, (4, 4), above, ALL).regions == ()
    assert len(find_regions(raw, (4, 4), float(value), ALL).regions) == 1


@pytest.mark.parametrize("level", [0.1, -3.7, 1e-30, 12345.678])
def test_a_map_that_reaches_the_threshold_only_when_enlarged_by_rounding_gives_the_same_mask(level: float) -> None:
    """The look at the small map's highest value saves time, and must decide as the enlarged map would."""
    raw = np.full((7, 9), level, np.float32)
    shape = (53, 71)
    highest = float(map_at(raw, shape).max())
    for threshold in (highest, float(np.float32(level)), float(np.nextafter(np.float32(highest), np.float32(np.inf)))):
        expected = map_at(raw, shape).astype(np.float64) >= threshold
        assert np.array_equal(find_regions(raw, shape, threshold, ALL).mask, expected)


def test_a_map_below_the_threshold_has_no_region_and_an_empty_mask_of_the_images_size() -> None:
    found = find_regions(texture(32), (300, 200), 1.5, ALL)
    assert found.regions == ()
    assert found.left_out == 0
    assert found.mask.shape == (300, 200)
    assert not found.mask.any()


def test_regions_and_policies_are_read_back_as_they_were_written() -> None:
    for region in (Region((1, 2, 3, 4), 10, 0.30000001192092896), Region((0, 0, 1, 1), 1, -2.5, "min_area")):
        assert Region.from_json(region.to_json()) == region
    assert RegionPolicy.from_json(RegionPolicy(7, 3).to_json()) == RegionPolicy(7, 3)
    with pytest.raises(KeyError):
        Region.from_json({"area": 3})
