"""What the drawn defects of DRÆM are, and what changes a texture goes through. Three seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.images import write_png
from pyimgano.models import texture_augmentation as changes
from pyimgano.models.texture_augmentation import AUGMENTATIONS, augment_texture
from pyimgano.models.texture_defects import TextureDefects


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def photo(photographs) -> np.ndarray:
    return np.ascontiguousarray(photographs["astronaut"][:96, 180:308])


@pytest.fixture
def red_and_blue(tmp_path: Path) -> Path:
    """A folder of two textures, one of them in a folder below, and a file that is none."""
    (tmp_path / "below").mkdir()
    for name, channel in (("a.png", 0), ("below/b.PNG", 2)):
        texture = np.zeros((20, 30, 3), np.uint8)
        texture[..., channel] = 200
        write_png(texture, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("change", AUGMENTATIONS, ids=lambda change: change.__name__)
def test_every_change_keeps_shape_and_type_is_drawn_by_chance_alone_and_leaves_its_argument(photo, change) -> None:
    before = photo.copy()
    results = [change(photo, chance(seed)) for seed in (*range(8), 0)]
    assert all((r.shape, r.dtype) == (photo.shape, np.uint8) for r in results)
    assert results[0].tobytes() == results[8].tobytes()
    assert any(r.tobytes() != photo.tobytes() for r in results)
    assert photo.tobytes() == before.tobytes()
    drawn = {r.tobytes() for r in results}
    assert len(drawn) == (1 if change.__name__ in ("invert", "equalize") else len(drawn))
    assert len(drawn) > 1 or change.__name__ in ("invert", "equalize")


def test_the_changes_of_levels_are_what_they_are_called() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(changes.invert(ramp, chance())[0, :, 0], 255 - np.arange(256))
    posterized = [changes.posterize(ramp, chance(seed)) for seed in range(20)]
    assert {len(np.unique(p)) for p in posterized} <= {2**bits for bits in range(1, 9)}
    for seed in range(10):
        powers = chance(seed).uniform(0.5, 2.0, 3)
        expected = 255.0 * (np.arange(256)[:, None] / 255.0) ** powers
        np.testing.assert_allclose(changes.gamma(ramp, chance(seed))[0], expected, atol=0.5001)
        solarized = changes.solarize(ramp, chance(seed))[0, :, 0].astype(int)
        threshold = (
            int(np.argmax(solarized != np.arange(256))) if not np.array_equal(solarized, np.arange(256)) else 256
        )
        assert threshold == 256 or 32 <= threshold <= 128
        assert np.array_equal(solarized[threshold:], 255 - np.arange(256)[threshold:])
    dull = (60 + ramp.astype(int) // 4).astype(np.uint8)
    stretched = changes.autocontrast(dull, chance(1))
    assert (stretched.min(), stretched.max()) == (0, 255)
    assert changes.autocontrast(np.full((4, 4, 3), 9, np.uint8), chance()).tolist() == np.full((4, 4, 3), 9).tolist()
    counts = np.bincount(changes.equalize(dull, chance())[..., 0].ravel(), minlength=256)
    assert counts[:128].sum() == pytest.approx(128, abs=6)


def test_hue_turns_brightness_scales_and_sharpness_goes_both_ways(photo) -> None:
    def mean(image: np.ndarray, channel: int) -> float:
        return float(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., channel].mean())

    values = [mean(changes.brightness(photo, chance(seed)), 2) for seed in range(8)]
    assert min(values) < mean(photo, 2) < max(values)
    green = np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = 200
    hues = [mean(changes.hue_and_saturation(green, chance(seed)), 0) for seed in range(20)]
    assert 60 - 36 <= min(hues) < 50  # OpenCV's unit is two degrees, and green is 60
    assert 70 < max(hues) <= 60 + 36
    detail = [cv2.Laplacian(changes.sharpness(photo, chance(seed)), cv2.CV_64F).std() for seed in range(8)]
    assert min(detail) < 0.9 * cv2.Laplacian(photo, cv2.CV_64F).std() < max(detail)


def test_a_texture_gets_different_changes_in_random_order(photo, monkeypatch) -> None:
    calls: list[str] = []

    def named(name: str):
        def change(image, draws):
            calls.append(name)
            return image

        return change

    monkeypatch.setattr(changes, "AUGMENTATIONS", tuple(named(str(k)) for k in range(10)))
    draws = chance()
    for _ in range(40):
        augment_texture(photo, draws)
    threes = [tuple(calls[k : k + 3]) for k in range(0, 120, 3)]
    assert all(len(set(three)) == 3 for three in threes)
    assert {name for three in threes for name in three} == {str(k) for k in range(10)}
    assert any(list(three) != sorted(three) for three in threes)


def test_half_of_the_images_get_defects_and_these_are_within_the_opacities(photo) -> None:
    batch = TextureDefects(opacity=(0.3, 0.6), rotation=0.0)([photo] * 200, chance())
    assert (batch.good.dtype, batch.texture.dtype, batch.opacity.dtype) == (np.uint8, np.uint8, np.float32)
    assert (batch.good == photo).all()
    share = (batch.opacity > 0).mean(axis=(1, 2))
    assert 0.3 < np.mean(share > 0) < 0.55  # of the half, some have noise below the threshold everywhere
    assert share.max() < 0.6
    for opacity in batch.opacity[share > 0]:
        assert len(np.unique(opacity[opacity > 0])) == 1
        assert 0.3 <= opacity.max() <= 0.6
    other = batch.texture[share > 0]
    assert all(t.tobytes() != photo.tobytes() for t in other)


def test_the_folders_textures_are_found_by_any_ending_and_used(photo, red_and_blue, monkeypatch) -> None:
    monkeypatch.setattr(changes, "AUGMENTATIONS", (lambda image, draws: image,) * 3)
    defects = TextureDefects(red_and_blue)
    assert [path.name for path in defects.files()] == ["a.png", "b.PNG"]
    batch = defects([photo] * 60, chance())
    colours = {tuple(t[0, 0]) for t, o in zip(batch.texture, batch.opacity) if o.any()}
    assert colours == {(200, 0, 0), (0, 0, 200)}


def test_an_image_turned_for_training_is_turned_with_and_without_defects(photo) -> None:
    batch = TextureDefects(rotation=45.0)([photo] * 100, chance())
    turned = (batch.good != photo).any(axis=(1, 2, 3))
    defective = batch.opacity.any(axis=(1, 2))
    assert 0.15 < turned.mean() < 0.45
    assert 0 < (turned & defective).sum() < turned.sum()


def test_defects_depend_on_the_seed_and_neither_on_threads_nor_on_the_batch(photo) -> None:
    defects = TextureDefects()
    first, again = (defects([photo] * 6, chance(4)) for _ in range(2))
    fewer = defects([photo] * 2, chance(4))
    other = defects([photo] * 6, chance(5))
    for name in ("good", "texture", "opacity"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(first, name)[:2].tobytes() == getattr(fewer, name).tobytes()
    assert first.opacity.tobytes() != other.opacity.tobytes()


def test_folders_without_textures_and_damaged_files_are_named(photo, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no folder") as caught:
        TextureDefects(tmp_path / "nowhere")([photo], chance())
    assert "nowhere" in str(caught.value)
    with pytest.raises(ParameterError, match="there is no image in"):
        TextureDefects(tmp_path).files()
    (tmp_path / "broken.png").write_bytes(b"no PNG")
    with pytest.raises(ImageError, match=r"broken\.png"):
        TextureDefects(tmp_path)([photo] * 8, chance())
