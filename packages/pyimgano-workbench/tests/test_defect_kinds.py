"""What every kind of defect keeps, on real photographs. About 15 seconds."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pyimgano.core.creation import create_component
from pyimgano.core.errors import DatasetError, ImageError, ParameterError
from pyimgano.core.images import read_image, write_png
from pyimgano.core.registry import COMPONENTS
from pyimgano.core.seeding import generator
from pyimgano.workbench.defects.bank import DefectBank, list_bank
from pyimgano.workbench.defects.donors import out_of_place
from pyimgano.workbench.defects.lines import Crack, Scratch
from pyimgano.workbench.defects.pieces import CutPaste, Foreign
from pyimgano.workbench.defects.placing import kind_names
from pyimgano.workbench.defects.shapes import blob, curve
from pyimgano.workbench.defects.spots import Stain

SKIMAGE = Path(importlib.util.find_spec("skimage").origin).parent / "data"

KINDS = (
    "crack",
    "cutpaste",
    "cutpaste-scar",
    "defect-bank",
    "dent",
    "edge-wear",
    "fibre",
    "foreign",
    "missing-part",
    "oil",
    "perlin-texture",
    "pit",
    "rust",
    "scratch",
    "stain",
    "tape",
)


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    coffee = read_image(SKIMAGE / "coffee.png")
    return {
        "brick": read_image(SKIMAGE / "brick.png")[:160, :192],
        "gravel": read_image(SKIMAGE / "gravel.png")[:160, :192],
        "coffee": np.ascontiguousarray(coffee[40:340:2, 100:500:2]),
    }


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of the gravel: a crack and a stain, with their masks."""
    folder = tmp_path_factory.mktemp("bank")
    gravel = read_image(SKIMAGE / "gravel.png")[200:360, 200:360]
    for name, kind in (("crack", Crack(severity=4)), ("stain", Stain(severity=3))):
        image, mask = kind(gravel, generator(1, name))
        rows, columns = np.nonzero(mask)
        crop = (slice(max(0, rows.min() - 5), rows.max() + 6), slice(max(0, columns.min() - 5), columns.max() + 6))
        write_png(image[crop], folder / f"{name}.png")
        write_png(mask[crop].astype(np.uint8) * 255, folder / f"{name}_mask.png")
    return folder


@pytest.fixture(scope="module")
def made(bank: Path):
    def make(name: str, severity: int = 3) -> Any:
        params: dict[str, Any] = {"folder": str(bank)} if name == "defect-bank" else {}
        return create_component("defects", name, {"severity": severity, **params})

    return make


@functools.lru_cache(maxsize=8)
def donor_for(shape: tuple[int, ...]) -> np.ndarray:
    """Return the coffee's cup, large enough for an image."""
    return out_of_place(read_image(SKIMAGE / "coffee.png")[::4, ::4], shape, generator(0, "donor"))


def put(defect: Any, image: np.ndarray, seed: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Put a defect on an image, with the coffee's cup as a donor."""
    return defect(image, generator(seed, "defect"), donor=donor_for(image.shape), **options)


def changed(image: np.ndarray, original: np.ndarray) -> np.ndarray:
    return np.abs(image.astype(int) - original).max(axis=2)


def test_these_are_all_kinds() -> None:
    assert set(KINDS) == {name for name in kind_names() if not name.startswith("acme")}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("photo", ["brick", "gravel", "coffee"])
def test_a_defect_changes_its_mask_and_little_around_it_and_is_repeatable(made, photos, name: str, photo: str) -> None:
    original = photos[photo]
    before = original.copy()
    strength = []
    for seed in range(4):
        image, mask = put(made(name), original, seed)
        again, again_mask = put(made(name), original, seed)
        assert image.tobytes() == again.tobytes()
        assert mask.tobytes() == again_mask.tobytes()
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == (original.shape, np.uint8, image.shape[:2], bool)
        assert 4 <= mask.sum() < 0.3 * mask.size
        near = cv2.dilate(mask.astype(np.uint8), np.ones((23, 23), np.uint8)) > 0
        difference = changed(image, original)
        assert not difference[~near].any()
        strength.append(float(difference[mask].mean()))
    assert np.array_equal(original, before)
    assert np.mean(strength) > 8.0, "a mask without a defect"
    assert len({put(made(name), original, seed)[1].tobytes() for seed in range(4)}) > 2


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(16, 16), (5, 40), (31, 90), (300, 64)])
@pytest.mark.parametrize("severity", [1, 5])
def test_a_mask_is_never_empty_whatever_the_size(made, name: str, shape: tuple[int, int], severity: int) -> None:
    original = read_image(SKIMAGE / "gravel.png")[: shape[0], : shape[1]]
    for seed in range(3):
        image, mask = put(made(name, severity), original, seed)
        assert image.shape == original.shape
        assert mask.any()


@pytest.mark.parametrize("name", KINDS)
def test_nothing_outside_the_region_of_interest_changes(made, photos, name: str) -> None:
    original = photos["brick"]
    rows, columns = np.ogrid[:160, :192]
    away = np.hypot(rows - 80, columns - 100)
    ring = (away < 70) & (away > 40)
    single = np.zeros(ring.shape, bool)
    single[159, 191] = True
    strip = np.zeros(ring.shape, bool)
    strip[150:153, 20:170] = True
    for roi in (ring, single, strip):
        for seed, severity in ((0, 1), (1, 3), (2, 5)):
            image, mask = put(made(name, severity), original, seed, roi=roi)
            assert mask.any()
            assert not (mask & ~roi).any()
            assert np.array_equal(image[~roi], original[~roi])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("photo", ["gravel", "coffee"])
def test_a_greater_severity_is_more_area_times_contrast(made, photos, name: str, photo: str) -> None:
    original = photos[photo]
    totals = []
    for severity in (1, 2, 3, 4, 5):
        images = [put(made(name, severity), original, seed)[0] for seed in range(12)]
        totals.append(float(np.mean([np.abs(image.astype(int) - original).sum() for image in images])))
    assert all(less < more for less, more in zip(totals, totals[1:])), totals


@pytest.mark.parametrize("name", KINDS)
def test_a_grey_image_stays_grey(made, photos, name: str) -> None:
    image, _ = put(made(name, 5), photos["brick"], 0)
    if name != "foreign":  # the donor's own colours: a coloured donor is none of a grey camera's images
        assert np.ptp(image, axis=2).max() == 0


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("severity", [0, 9, 2.5, "high", True])
def test_a_severity_that_there_is_not_is_refused(bank: Path, name: str, severity: Any) -> None:
    params: dict[str, Any] = {"folder": str(bank)} if name == "defect-bank" else {}
    with pytest.raises(ParameterError, match=r"severity = .*\n.*from 1 \(small and faint\) to 5"):
        create_component("defects", name, {"severity": severity, **params})


@pytest.mark.parametrize("name", KINDS)
def test_every_range_may_be_given_and_is_held_to_its_limits(bank: Path, name: str) -> None:
    params: dict[str, Any] = {"folder": str(bank)} if name == "defect-bank" else {}
    kind = type(create_component("defects", name, params))
    assert kind.levels
    for key, spans in kind.levels.items():
        low, high = kind.limits[key]
        assert len(spans) == 5
        assert all(low <= least <= most <= high for least, most in spans)
        assert create_component("defects", name, {key: list(spans[0]), **params}).span(key) == spans[0]
        for wrong in ([high, low], [low], "wide", [low, high * 2 + 1], [None, high]):
            with pytest.raises(ParameterError, match=f"{key} = "):
                create_component("defects", name, {key: wrong, **params})


def test_a_region_of_another_size_or_without_pixels_is_refused(photos) -> None:
    with pytest.raises(ParameterError, match=r"the ROI has 100×80 pixels, the image 192×160"):
        put(Crack(), photos["brick"], 0, roi=np.ones((80, 100), bool))
    with pytest.raises(ParameterError, match="the ROI is empty"):
        put(Crack(), photos["brick"], 0, roi=np.zeros((160, 192), bool))
    with pytest.raises(ImageError, match="uint8"):
        put(Crack(), photos["brick"][..., 0], 0)


def test_the_first_three_kinds_draw_what_they_always_have(photos) -> None:
    """By their definition on the whole image, which the demo's dataset and measurements were made by."""
    image = photos["coffee"]
    shape = image.shape[:2]
    donor = out_of_place(photos["gravel"], image.shape, generator(0))

    def blended(other: np.ndarray, opacity: np.ndarray) -> np.ndarray:
        mixed = image + (other - image.astype(np.float32)) * opacity[..., None]
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    for seed in range(5):
        rng = generator(seed)
        opacity = curve(shape, rng, length=(0.35, 0.75), width=max(1.5, rng.uniform(0.025, 0.045) * min(shape)))
        sign = 1.0 if rng.uniform() < 1.0 - image.mean() / 255.0 else -1.0
        expected = blended(image.astype(np.float32) + sign * rng.uniform(60.0, 100.0), opacity)
        found, mask = Scratch()(image, generator(seed))
        assert np.array_equal(found, expected)
        assert np.array_equal(mask, opacity >= 0.5)

        rng = generator(seed)
        opacity = blob(shape, rng, size=(0.12, 0.20), roughness=0.4, edge=max(2.0, 0.03 * min(shape)))
        colour = 25.0 if image[opacity >= 0.5].mean() > 127.5 else 230.0
        expected = blended(np.full(image.shape, colour), opacity * rng.uniform(0.65, 0.85))
        assert np.array_equal(Stain()(image, generator(seed))[0], expected)

        rng = generator(seed)
        opacity = blob(shape, rng, size=(0.15, 0.22), roughness=0.3, edge=2.0)
        inside = opacity >= 0.5
        row, column = (int(rng.integers(have - want + 1)) for have, want in zip(donor.shape, shape))
        piece = donor[row : row + shape[0], column : column + shape[1]].astype(np.float32)
        piece += image[inside].mean(axis=0) - piece[inside].mean(axis=0)
        assert np.array_equal(Foreign()(image, generator(seed), donor=donor)[0], blended(piece, opacity))


def test_cutpaste_pastes_a_rectangle_of_up_to_the_papers_area(photos) -> None:
    areas = []
    for seed in range(30):
        _, mask = CutPaste(severity=5)(photos["coffee"], generator(seed))
        rows, columns = np.nonzero(mask)
        assert mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
        areas.append(mask.sum() / min(mask.shape) ** 2)
    assert max(areas) <= 0.17
    assert min(areas) >= 0.05


def test_a_crack_is_one_piece(photos) -> None:
    for seed in range(10):
        _, mask = Crack(severity=5)(photos["brick"], generator(seed))
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
        assert cv2.connectedComponents(grown)[0] == 2


def test_worn_edges_lie_at_the_regions_border(photos) -> None:
    roi = np.zeros((160, 192), bool)
    roi[30:130, 40:150] = True
    inner = cv2.erode(roi.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    for seed in range(10):
        _, mask = put(create_component("defects", "edge-wear", {"severity": 3}), photos["brick"], seed, roi=roi)
        assert not (mask & inner).any()


def test_what_is_missing_shows_the_background_of_a_part() -> None:
    image = np.full((120, 150, 3), (200, 210, 220), np.uint8)
    image[30:90, 40:110] = (60, 50, 40)
    for seed in range(8):
        result, mask = put(create_component("defects", "missing-part", {"severity": 5}), image, seed)
        part = np.zeros(mask.shape, bool)
        part[30:90, 40:110] = True
        assert not (mask & ~part).any()
        assert np.abs(result[mask].mean(axis=0) - (200, 210, 220)).max() < 12


def test_a_crop_without_a_mask_is_an_error_that_names_it(bank: Path, tmp_path: Path) -> None:
    for path in bank.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert [crop.name for crop, _ in list_bank(tmp_path)] == ["crack.png", "stain.png"]
    (tmp_path / "stain_mask.png").unlink()
    with pytest.raises(DatasetError, match=r"stain\.png: this defect crop has no mask"):
        DefectBank(str(tmp_path))
    with pytest.raises(DatasetError, match="no such folder"):
        DefectBank(str(tmp_path / "nowhere"))
    with pytest.raises(ParameterError, match="blend = 'mixed'"):
        DefectBank(str(bank), blend="mixed")
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="no defect crop"):
        DefectBank(str(tmp_path / "none"))
    with pytest.raises(ParameterError, match="missing parameter 'folder'"):
        create_component("defects", "defect-bank")


def test_masks_may_lie_in_a_folder_and_must_fit(bank: Path, photos, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "crack.png").write_bytes((bank / "crack.png").read_bytes())
    (tmp_path / "masks" / "crack.png").write_bytes((bank / "crack_mask.png").read_bytes())
    assert put(DefectBank(str(tmp_path)), photos["brick"], 0)[1].any()
    write_png(np.zeros((4, 4), np.uint8), tmp_path / "masks" / "crack.png")
    with pytest.raises(ImageError, match="the mask has 4×4 pixels"):
        put(DefectBank(str(tmp_path)), photos["brick"], 0)
    crop = read_image(tmp_path / "crack.png")
    write_png(np.zeros(crop.shape[:2], np.uint8), tmp_path / "masks" / "crack.png")
    with pytest.raises(ImageError, match="is empty"):
        put(DefectBank(str(tmp_path)), photos["brick"], 0)


def test_alpha_pastes_the_pixels_of_the_crop_and_poisson_brings_them_to_the_place(tmp_path: Path) -> None:
    surface = np.full((100, 100, 3), 200, np.uint8)
    crop, mask = np.full((21, 21, 3), 80, np.uint8), np.zeros((21, 21), np.uint8)
    crop[6:15, 6:15], mask[6:15, 6:15] = 40, 255
    write_png(crop, tmp_path / "hole.png")
    write_png(mask, tmp_path / "hole_mask.png")
    pasted, where = put(DefectBank(str(tmp_path), blend="alpha", scale=(1.0, 1.0)), surface, 0)
    assert where.sum() == 81
    assert (pasted[where] == 40).all()
    assert (pasted[~where] == 200).all()
    blended, where = put(DefectBank(str(tmp_path), scale=(1.0, 1.0)), surface, 0)
    # 40 below what lay around it in the crop, and 40 below what lies around it here.
    assert abs(float(blended[where].mean()) - 160) < 4


def test_the_page_of_defects_has_every_kind_with_its_ranges() -> None:
    page = Path(__file__).parents[3] / "docs" / "defects.md"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.read_text("utf-8").splitlines()]
    for name in KINDS:
        kind = COMPONENTS.load(f"defects/{name}")
        spans = {key: [f"{low:g}–{high:g}" for low, high in kind.levels[key]] for key in kind.levels}
        start = next(index for index, row in enumerate(rows) if row[0] == f"`{name}`" and len(row) == 7)
        shown = {row[1].strip("`"): row[2:] for row in rows[start : start + len(spans)]}
        assert shown == spans
