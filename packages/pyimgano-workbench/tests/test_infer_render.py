"""Maps, masks and overlays."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.images import read_image
from pyimgano.workbench.render import MapScale, draw_outline, map_at, overlay, read_map, write_map

SKIMAGE = Path(importlib.util.find_spec("skimage").origin).parent / "data"


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return read_image(SKIMAGE / "coffee.png")


def bump(shape: tuple[int, int], row: float, column: float, width: float) -> np.ndarray:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    distance = (rows - row) ** 2 + (columns - column) ** 2
    return np.exp(-distance / (2 * width**2)).astype(np.float32)


def test_a_map_file_keeps_every_bit_of_the_values(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(scale=1e3, size=(33, 47)).astype(np.float32)
    values[0, :3] = [np.float32(1e-38), -0.0, np.float32(3.4e38)]
    write_map(values, tmp_path / "map.tiff")
    assert read_map(tmp_path / "map.tiff").tobytes() == values.tobytes()


def test_map_files_are_read_by_another_library(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    values = np.random.default_rng(1).random((20, 30)).astype(np.float32)
    write_map(values, tmp_path / "map.tiff")
    with image_module.open(tmp_path / "map.tiff") as opened:
        assert np.array_equal(np.asarray(opened), values)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)])
def test_only_a_float32_map_is_written(wrong: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="dtype"):
        write_map(wrong, tmp_path / "map.tiff")
    assert list(tmp_path.iterdir()) == []


def test_a_map_at_its_own_size_is_not_changed_and_at_another_stays_within_its_range() -> None:
    values = bump((28, 28), 9, 20, 3)
    assert np.array_equal(map_at(values, (28, 28)), values)
    enlarged = map_at(values, (300, 200))
    assert enlarged.shape == (300, 200)
    assert values.min() <= enlarged.min()
    assert enlarged.max() <= values.max()


def test_a_scale_puts_the_threshold_in_the_middle_for_negative_scores_too() -> None:
    scale = MapScale(low=-12.0, threshold=-4.0)
    assert scale.levels(np.array([-100.0, -12.0, -4.0, 4.0, 100.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_a_scale_whose_threshold_is_not_above_what_good_images_show_is_refused() -> None:
    with pytest.raises(ParameterError, match="not below"):
        MapScale(low=1.0, threshold=1.0)


def test_an_image_below_the_usual_level_stays_as_it_is(photograph: np.ndarray) -> None:
    calm = np.full((28, 28), 0.2, np.float32)
    assert np.array_equal(overlay(photograph, calm, MapScale(0.2, 1.0)), photograph)


def test_the_heat_lies_where_the_map_is_high_and_nowhere_else(photograph: np.ndarray) -> None:
    height, width = photograph.shape[:2]
    values = bump((40, 60), 10, 45, 2)  # a quarter down, three quarters to the right
    picture = overlay(photograph, values, MapScale(0.05, 0.5))
    changed = (picture != photograph).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() / height - 10.5 / 40) < 0.02
    assert abs(columns.mean() / width - 45.5 / 60) < 0.02
    assert changed.mean() < 0.2
    white = (picture == 255).all(axis=2)
    assert white.any(), "no outline around what reaches the threshold"


def test_no_outline_is_drawn_below_the_threshold(photograph: np.ndarray) -> None:
    values = bump((40, 60), 10, 45, 2) * np.float32(0.4)
    picture = overlay(photograph, values, MapScale(0.05, 0.5))
    was_white = (photograph == 255).all(axis=2)
    assert not ((picture == 255).all(axis=2) & ~was_white).any()


def test_more_heat_is_lighter_in_grey_on_a_dark_surface() -> None:
    dark = np.full((300, 300, 3), 40, np.uint8)
    ramp = np.tile(np.linspace(0.0, 1.0, 300, dtype=np.float32), (300, 1))
    picture = overlay(dark, ramp, MapScale(0.0, 10.0))  # all below the threshold: no outline in the way
    half = overlay(dark, ramp * 20, MapScale(0.0, 10.0))
    grey = half[10].astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey[160:290]) >= -1.0).all()
    assert grey[289] > grey[160] + 50
    assert picture.mean() < half.mean()


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    small = np.random.default_rng(2).integers(0, 255, (50, 60, 3)).astype(np.uint8)
    picture = overlay(small, np.zeros((5, 6), np.float32), MapScale(0.5, 1.0))
    assert picture.shape == (250, 300, 3)
    assert np.array_equal(picture[::5, ::5], small)


def test_an_outline_follows_its_region_and_leaves_the_image_alone(photograph: np.ndarray) -> None:
    before = photograph.copy()
    mask = np.zeros(photograph.shape[:2], bool)
    mask[100:200, 150:300] = True
    picture = draw_outline(photograph, mask, (255, 0, 0))
    assert np.array_equal(photograph, before)
    rows, columns = np.nonzero((picture == (255, 0, 0)).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (100, 199, 150, 299)
    with pytest.raises(ImageError, match="the mask has shape"):
        draw_outline(photograph, mask[:10], (255, 0, 0))
