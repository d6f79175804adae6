"""Drifts on real photographs: what holds for all of them, and what each does physically. Takes a few seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pyimgano.core.creation import create_component
from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.images import read_image
from pyimgano.core.seeding import generator
from pyimgano.workbench.augment import Augmentation
from pyimgano.workbench.augment.optics import disk, line
from pyimgano.workbench.augment.specs import AUGMENT
from pyimgano.workbench.augment.surface import background_of

NAMES = [spec.name for spec in AUGMENT]
GEOMETRIC = ["conveyor-jitter", "perspective", "rolling-shutter", "rotation", "scale", "shift"]
COLOURED = ["white-balance"]


def photograph(name: str, size: tuple[int, int]) -> np.ndarray:
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return cv2.resize(read_image(Path(spec.origin).parent / "data" / name), size, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def photographs(cell_images: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    """Colour, grey and a solar cell, none of them square but the cell; the first two stand before a background."""
    names = ("retina.jpg", "horse.png", "coffee.png", "brick.png")
    return [photograph(name, (120, 96)) for name in names] + [cell_images["good"][0]]


def drift(name: str, severity: int = 3) -> Any:
    return create_component("augment", name, {"severity": severity})


def changed(name: str, severity: int, image: np.ndarray, seed: int = 0) -> np.ndarray:
    return drift(name, severity)(image, generator(seed, name))[0]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_drift_gives_an_image_of_the_same_kind_and_leaves_its_input_alone(
    name: str, photographs: list[np.ndarray]
) -> None:
    component = drift(name)
    assert isinstance(component, Augmentation)
    assert component.geometric == (name in GEOMETRIC)
    for image in photographs:
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[30:50, 20:45] = True
        given, given_mask = image.copy(), mask.copy()
        image.flags.writeable = mask.flags.writeable = False
        drifted, moved = component(image, generator(1, name), mask=mask)
        image.flags.writeable = True
        assert (drifted.shape, drifted.dtype) == (image.shape, np.uint8)
        assert (moved.shape, moved.dtype) == (mask.shape, bool)
        assert np.array_equal(image, given)
        assert np.array_equal(mask, given_mask)
        assert not np.shares_memory(drifted, image)
        if not component.geometric:
            assert np.array_equal(moved, mask)
        again, none = component(image, generator(1, name))
        assert none is None
        assert np.array_equal(again, drifted)  # the mask changes no lot


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("defocus", "jpeg")])
def test_another_seed_draws_another_drift(name: str, photographs: list[np.ndarray]) -> None:
    drawn = {changed(name, 3, photographs[0], seed).tobytes() for seed in range(6)}
    assert len(drawn) > 1


@pytest.mark.parametrize("name", NAMES)
def test_each_severity_changes_more_than_the_one_below_it(name: str, photographs: list[np.ndarray]) -> None:
    # By the mean absolute difference over images and seeds. Once a texture has moved by its own period, moving it
    # farther changes no more: what moves is measured on a smooth photograph.
    images = photographs[:1] if name in GEOMETRIC else photographs
    means = [
        np.mean([difference(image, changed(name, severity, image, seed)) for image in images for seed in range(8)])
        for severity in range(1, 6)
    ]
    assert means == sorted(means)
    assert means[0] > 0.0
    assert means[4] > 1.5 * means[0]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COLOURED])
def test_a_grey_image_stays_grey(name: str, photographs: list[np.ndarray]) -> None:
    for image in (photographs[1], photographs[3]):
        assert (image == image[..., :1]).all()
        for seed in range(3):
            drifted = changed(name, 5, image, seed)
            assert (drifted == drifted[..., :1]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (2, 3), (31, 257)])
def test_images_of_any_size_are_taken(name: str, shape: tuple[int, int], photographs: list[np.ndarray]) -> None:
    image = cv2.resize(photographs[2], shape[::-1]).reshape(*shape, 3)
    for severity in (1, 5):
        for seed in range(2):
            drifted, mask = drift(name, severity)(image, generator(seed), mask=np.ones(shape, dtype=bool))
            assert drifted.shape == image.shape
            assert mask.shape == shape
            assert mask.all()  # what comes in at a border is mirrored, of the mask too


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_a_painted_square_stays_below_its_mask(name: str, severity: int) -> None:
    image = np.full((120, 160, 3), 40, dtype=np.uint8)
    mask = np.zeros((120, 160), dtype=bool)
    mask[35:70, 50:100] = True
    image[mask] = 220
    moved_apart = 0
    for seed in range(4):
        drifted, moved = drift(name, severity)(image, generator(seed), mask=mask)
        bright = drifted[..., 0] > 130
        assert (bright & moved).sum() / (bright | moved).sum() > 0.93  # but for the rim that interpolation smears
        moved_apart += int((moved != mask).any())
    assert moved_apart >= 3 or severity == 1  # which may be less than a pixel


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [0, 9, 2.0, True, "3", None])
def test_what_is_no_severity_is_refused(name: str, severity: Any) -> None:
    with pytest.raises(ParameterError, match="severity = ") as told:
        create_component("augment", name, {"severity": severity})
    assert told.value.allowed == "1, 2, 3, 4, 5"


def test_what_is_no_image_or_no_mask_of_it_is_refused() -> None:
    image = np.zeros((8, 9, 3), dtype=np.uint8)
    for wrong in (image[..., 0], image.astype(np.float32), image[:0]):
        with pytest.raises(ImageError, match="shape"):
            drift("gamma")(wrong, generator(0))
    with pytest.raises(ImageError, match=r"the mask has shape \(9, 8\), its image \(8, 9\)"):
        drift("gamma")(image, generator(0), mask=np.zeros((9, 8), dtype=bool))


def test_more_exposure_multiplies_light_and_saturates() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    seen = {changed("exposure", 3, ramp, seed)[0, 100, 0] for seed in range(8)}
    # 0.8 stops of light are a factor of 2 ** (0.8 / 2.2) of values.
    assert seen == {round(100 * 2 ** (0.8 / 2.2)), round(100 * 2 ** (-0.8 / 2.2))}
    brighter = next(d for d in (changed("exposure", 3, ramp, seed) for seed in range(8)) if d[0, 100, 0] > 100)
    assert (brighter[0, 210:] == 255).all()


def test_gamma_keeps_black_and_white() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(4):
        drifted = changed("gamma", 5, ramp, seed)
        assert (drifted[0, 0, 0], drifted[0, 255, 0]) == (0, 255)
        assert (np.diff(drifted[0, :, 0].astype(int)) >= 0).all()
        assert drifted[0, 128, 0] in (60, 184)  # 255 · (128 / 255) ** 2.1, and ** (1 / 2.1)


def test_another_white_balance_tints_but_keeps_the_luminance_of_a_grey() -> None:
    grey = np.full((4, 4, 3), 120, dtype=np.uint8)
    tints = set()
    for seed in range(8):
        red, green, blue = (float(value) for value in changed("white-balance", 5, grey, seed)[0, 0])
        light = (np.array([red, green, blue]) / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
        assert light == pytest.approx((120 / 255) ** 2.2, rel=0.02)
        assert (red - green) * (blue - green) < 0
        tints.add(red > blue)
    assert tints == {True, False}


def test_flicker_is_the_same_along_a_row() -> None:
    image = np.full((100, 60, 3), 120, dtype=np.uint8)
    drifted = changed("flicker", 4, image)
    assert (drifted == drifted[:, :1]).all()
    light = (drifted[:, 0, 0] / 120.0) ** 2.2
    assert light.max() - 1 == pytest.approx(0.32, abs=0.03)
    assert 1 - light.min() == pytest.approx(0.32, abs=0.03)


def test_the_sides_of_a_light_gradient_are_so_many_stops_apart() -> None:
    image = np.full((81, 81, 3), 110, dtype=np.uint8)
    for seed in range(4):
        light = (changed("light-gradient", 4, image, seed)[..., 0] / 110.0) ** 2.2
        assert np.log2(light.max() / light.min()) == pytest.approx(1.9, abs=0.1)
        assert np.log2(light[40, 40]) == pytest.approx(0.0, abs=0.05)


def test_a_shadow_takes_light_from_a_part_only() -> None:
    image = np.full((100, 100, 3), 150, dtype=np.uint8)
    for seed in range(4):
        light = (changed("shadow", 4, image, seed)[..., 0] / 150.0) ** 2.2
        assert light.min() == pytest.approx(0.4, abs=0.02)
        assert 0.15 < (light < 0.95).mean() < 0.75
        assert light.max() == pytest.approx(1.0)


def test_glare_adds_light_and_saturates_when_it_is_strong(photographs: list[np.ndarray]) -> None:
    for image in photographs:
        drifted = changed("glare", 5, image)
        assert (drifted.astype(int) - image >= -1).all()
        assert ((drifted == 255).all(axis=2) & (image < 250).any(axis=2)).mean() > 0.02
    faint = changed("glare", 1, np.full((90, 90, 3), 60, dtype=np.uint8))
    assert 60 < faint.max() < 255


@pytest.mark.parametrize("radius", [0.6, 2.0, 5.5])
def test_a_disk_has_its_radius_and_keeps_the_light(radius: float) -> None:
    kernel = disk(radius)
    assert kernel.sum() == pytest.approx(1.0)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    # The second moment of a uniform disk along an axis is r² / 4.
    assert (kernel.sum(axis=0) * offsets**2).sum() == pytest.approx(radius**2 / 4, abs=0.15 + 0.02 * radius**2)
    assert kernel == pytest.approx(kernel[::-1, ::-1])


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, 2.5])
def test_a_line_has_its_length_and_direction(angle: float) -> None:
    kernel = line(15.0, angle)
    assert kernel.sum() == pytest.approx(1.0)
    assert all(side % 2 == 1 for side in kernel.shape)
    rows, columns = (np.arange(side) - side // 2 for side in kernel.shape)
    moments = np.array(
        [
            [(kernel * columns**2).sum(), (kernel * np.outer(rows, columns)).sum()],
            [(kernel * np.outer(rows, columns)).sum(), (kernel * rows[:, None] ** 2).sum()],
        ]
    )
    values, vectors = np.linalg.eigh(moments)
    assert values[1] == pytest.approx(15.0**2 / 12, rel=0.05)  # of a uniform line
    assert values[0] < 0.5
    assert abs(vectors[:, 1] @ [np.cos(angle), np.sin(angle)]) == pytest.approx(1.0, abs=0.01)


def test_defocus_by_a_large_disk_of_a_reduced_copy_is_that_disk(photographs: list[np.ndarray]) -> None:
    image = cv2.resize(photographs[2], (600, 480))
    radius = 0.03 * 480
    expected = cv2.filter2D(image, -1, disk(radius), borderType=cv2.BORDER_REFLECT_101)
    assert difference(changed("defocus", 5, image), expected) < 0.7


@pytest.mark.parametrize("level", [20, 120, 230])
def test_noise_has_the_variance_of_the_camera_model(level: int) -> None:
    image = np.full((200, 200, 3), level, dtype=np.uint8)
    for severity, white in ((2, 1500.0), (4, 250.0)):
        drifted = changed("sensor-noise", severity, image)[..., 0].astype(float)
        expected = 255.0 / white * np.sqrt(level / 255.0 * white + 16.0)
        if 3 * expected < min(level, 255 - level):  # nothing is clipped
            assert drifted.std() == pytest.approx(np.hypot(expected, 1 / np.sqrt(12)), rel=0.03)
            assert drifted.mean() == pytest.approx(level, abs=0.2)


def test_the_noise_of_a_colour_image_is_independent_between_its_channels() -> None:
    image = np.full((150, 150, 3), (100, 120, 140), dtype=np.uint8)
    noise = changed("sensor-noise", 3, image).astype(float) - image
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.05


def test_jpeg_is_what_a_file_of_that_quality_holds(photographs: list[np.ndarray]) -> None:
    image = photographs[2]
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 20])
    assert ok
    assert np.array_equal(changed("jpeg", 3, image), cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def corner(name: str, severity: int, point: tuple[int, int], shape: tuple[int, int], seed: int) -> tuple[float, float]:
    """Return where a spot at (row, column) is after a drift."""
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[point[0] - 1 : point[0] + 2, point[1] - 1 : point[1] + 2] = 255
    rows, columns = np.nonzero(changed(name, severity, image, seed)[..., 0] > 100)
    return float(rows.mean()), float(columns.mean())


def test_movements_have_the_size_that_the_severity_says() -> None:
    shape, seeds = (201, 201), range(6)
    turned = [corner("rotation", 4, (100, 160), shape, seed) for seed in seeds]
    angles = {round(float(np.degrees(np.arctan2(row - 100, column - 100)))) for row, column in turned}
    assert angles == {-7, 7}
    shifted = [corner("shift", 3, (100, 100), shape, seed) for seed in seeds]
    assert all(np.hypot(row - 100, column - 100) == pytest.approx(8.0, abs=0.8) for row, column in shifted)
    scaled = {round(corner("scale", 5, (100, 150), shape, seed)[1] - 100) for seed in seeds}
    assert scaled == {60, 42}
    for seed in seeds:
        below, above = (corner("rolling-shutter", 4, (row, 100), shape, seed)[1] for row in (150, 50))
        assert abs(below - above) == pytest.approx(7.0, abs=1.1)  # half the rows: half of 7 % of 201


def test_a_tilted_camera_shows_one_side_larger_than_the_other() -> None:
    image = np.zeros((201, 201, 3), dtype=np.uint8)
    mask = np.zeros((201, 201), dtype=bool)
    image[30:50, 90:110], image[150:170, 90:110] = 255, 255
    ratios = []
    for seed in range(12):
        drifted, _ = drift("perspective", 5)(image, generator(seed), mask=mask)
        bright = drifted[..., 0] > 127
        ratios.append(bright[:100].sum() / bright[100:].sum())
    assert max(ratios) > 1.3
    assert min(ratios) < 1 / 1.3


def test_dust_covers_little_and_both_darkens_and_lightens() -> None:
    image = np.full((200, 200, 3), 120, dtype=np.uint8)
    drifted = changed("dust", 3, image)[..., 0].astype(int)
    assert 0.0 < (drifted != 120).mean() < 0.25
    assert drifted.max() > 180
    assert drifted.min() < 100


def test_another_background_leaves_the_part_alone() -> None:
    image = photograph("retina.jpg", (300, 300))
    rows, columns = np.mgrid[:300, :300]
    part = np.hypot(rows - 150, columns - 150) < 130
    outside = np.hypot(rows - 150, columns - 150) > 175
    cover = background_of(image)
    assert cover is not None
    assert cover[part].max() == 0.0
    assert cover[outside].min() == 1.0
    drifted = changed("background", 4, image)
    assert np.array_equal(drifted[part], image[part])
    assert difference(drifted[outside], image[outside]) == pytest.approx(65, abs=20)


@pytest.mark.parametrize("name", ["brick.png", "coffee.png", "page.png", "motorcycle_left.png", "gravel.png"])
def test_an_image_without_a_uniform_background_is_returned_as_it_is(name: str) -> None:
    image = photograph(name, (240, 200))
    assert background_of(image) is None
    drifted = changed("background", 5, image)
    assert np.array_equal(drifted, image)
    assert not np.shares_memory(drifted, image)


def test_a_uniform_surface_that_fills_the_image_is_no_background() -> None:
    surface = np.full((120, 120, 3), 128, dtype=np.uint8)
    assert background_of(surface) is None
    surface[60:66, 60:66] = 20  # a small stain is no object
    assert background_of(surface) is None
    surface[30:90, 30:90] = 20
    assert background_of(surface) is not None
