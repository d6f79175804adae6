"""Preprocessing evens out light and places, in the same way in fit and inference, and never hides a failure."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from pyimgano.core.creation import create_component, create_model
from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.images import read_image
from pyimgano.core.registry import COMPONENTS
from pyimgano.workbench.pipeline import Pipeline, load_detector

NAMES = [entry.spec.name for entry in COMPONENTS.entries() if entry.spec.kind == "preprocess"]


def photograph(name: str) -> np.ndarray:
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is not installed"
    return read_image(Path(spec.origin).parent / "data" / name)


@pytest.fixture(scope="module")
def coffee() -> np.ndarray:
    return photograph("coffee.png")[100:300, 150:450]


def step(name: str, **parameters):
    return create_component("preprocess", name, parameters)


def under_gradient(image: np.ndarray, gain: float) -> np.ndarray:
    """Return the image under light that falls off to one side."""
    field = np.linspace(1.0, gain, image.shape[1])[None, :, None]
    return np.clip(np.rint(image * field), 0, 255).astype(np.uint8)


def turned(image: np.ndarray, angle: float, shift: tuple[float, float]) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    matrix[:, 2] += shift
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_keeps_its_size_and_type_and_is_not_changed_itself(name, coffee) -> None:
    before = coffee.copy()
    for image in (
        coffee,
        np.ascontiguousarray(coffee[:41, :67]),
        coffee.mean(axis=2).astype(np.uint8)[..., None].repeat(3, axis=2),
    ):
        changed, _ = step(name).fit([image])(image)
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
    assert np.array_equal(coffee, before)
    # Of a grey image, the channels stay equal.
    assert np.array_equal(changed[..., 0], changed[..., 2])


@pytest.mark.parametrize("name", NAMES)
def test_what_was_learned_is_kept(name, coffee) -> None:
    fitted = step(name).fit([under_gradient(coffee, 0.5), coffee])
    loaded = step(name)
    loaded.set_state(*fitted.get_state())
    assert np.array_equal(loaded(coffee)[0], fitted(coffee)[0])


@pytest.mark.parametrize(("name", "left"), [("homomorphic", 0.5), ("clahe", 0.8)])
@pytest.mark.parametrize("surface", ["brick.png", "gravel.png"])
def test_light_that_falls_off_to_one_side_is_evened_out(name, left, surface) -> None:
    def fall(image: np.ndarray) -> float:
        """Return how much darker the right side is than the left, in powers of e."""
        return float(np.log(image[:, :20].mean() / image[:, -20:].mean()))

    even = photograph(surface)[:256, :256]
    uneven, filtered = under_gradient(even, 0.4), step(name)
    assert fall(uneven) > 0.7
    assert abs(fall(filtered(uneven)[0]) - fall(filtered(even)[0])) < left * abs(fall(uneven) - fall(even))


def test_a_flat_field_divides_by_the_light_of_the_good_images() -> None:
    rng = np.random.default_rng(0)
    even = [np.repeat(rng.normal(160, 10, (120, 160, 1)), 3, axis=2).clip(0, 255).astype(np.uint8) for _ in range(6)]
    field = step("flat-field").fit([under_gradient(image, 0.5) for image in even[:5]])
    flat = field(under_gradient(even[5], 0.5))[0].astype(float)
    columns = flat[..., 0].mean(axis=0)
    assert np.ptp(columns[10:-10]) < 0.15 * columns.mean()
    assert np.ptp(under_gradient(even[5], 0.5)[..., 0].mean(axis=0)) > 0.5 * columns.mean()


def test_white_balance_takes_a_cast_away(coffee) -> None:
    cast = np.clip(coffee * np.array([1.2, 1.0, 0.8]), 0, 255).astype(np.uint8)
    wanted = coffee.reshape(-1, 3).mean(axis=0)
    found = step("white-balance").fit([coffee])(cast)[0].reshape(-1, 3).mean(axis=0)
    assert np.abs(found / found.mean() - wanted / wanted.mean()).max() < 0.03
    grey = step("white-balance", to="grey", limit=4.0)
    means = grey(np.clip(photograph("astronaut.png") * np.array([0.9, 0.7, 0.5]), 0, 255).astype(np.uint8))[0]
    assert np.ptp(means.reshape(-1, 3).mean(axis=0)) < 0.05 * means.mean()


@pytest.mark.parametrize("motion", ["shift", "euclidean", "affine"])
def test_a_moved_image_is_brought_onto_the_template_and_its_movement_told(motion, coffee) -> None:
    align = step("align", motion=motion).fit([coffee])
    moved = turned(coffee, 0.0 if motion == "shift" else 3.0, (7.0, -4.0))
    back, told = align(moved)
    inner = (slice(30, -30), slice(40, -40))
    before = np.abs(moved.astype(int) - coffee)[inner].mean()
    assert np.abs(back.astype(int) - coffee)[inner].mean() < 0.35 * before
    # A point of the returned image, found again in the one that was given.
    x, y = told @ np.array([150.0, 100.0, 1.0])
    patch = moved[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9]
    assert np.abs(patch.astype(int) - coffee[92:109, 142:159]).mean() < 25


def test_an_image_of_something_else_is_an_error_and_never_a_score(coffee) -> None:
    align = step("align").fit([coffee])
    with pytest.raises(ImageError, match=r"does not show what the template shows|does not converge"):
        align(photograph("brick.png")[:200, :300])


def test_maps_of_aligned_images_lie_on_the_source_image(coffee, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = [np.clip(coffee + rng.normal(0, 4, coffee.shape), 0, 255).astype(np.uint8) for _ in range(8)]
    moved = turned(good[7], 2.0, (12.0, -9.0))
    moved[120:150, 200:230] = 255 - moved[120:150, 200:230]
    model = create_model("pixel-gaussian")
    parameters = {"motion": "euclidean"}
    pipeline = Pipeline(model, [("align", parameters, step("align", **parameters))]).fit(good[:7])
    found = pipeline.infer([moved, good[6]])
    plain = create_model("pixel-gaussian").fit(good[:7]).infer([moved])
    assert found.image_scores[1] < found.image_scores[0]
    place = np.unravel_index(found.maps[0].argmax(), found.maps[0].shape)
    height, width = found.maps[0].shape
    assert 120 - 12 <= place[0] * 200 / height <= 150 + 12
    assert 200 - 12 <= place[1] * 300 / width <= 230 + 12
    # Without the movement undone, the whole image differs from what every position should show.
    assert np.median(found.maps[0]) < 0.5 * np.median(plain.maps[0])
    pipeline.save(tmp_path / "saved")
    again = load_detector("pixel-gaussian", tmp_path / "saved").infer([moved])
    assert again.image_scores[0] == found.image_scores[0]
    assert np.array_equal(again.maps[0], found.maps[0])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("clahe", {"clip_limit": 0.0}),
        ("clahe", {"cells": 0}),
        ("homomorphic", {"low": -0.1}),
        ("homomorphic", {"radius": 0.0}),
        ("flat-field", {"limit": 1.0}),
        ("white-balance", {"to": "blue"}),
        ("align", {"motion": "elastic"}),
        ("align", {"min_correlation": 1.0}),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters) -> None:
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        step(name, **parameters)
