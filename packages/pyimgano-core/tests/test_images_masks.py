"""A mask says which pixels are defective, whatever the values, the palette or the file format."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pyimgano.core.errors import ImageError
from pyimgano.core.images import read_mask, write_png

IDS = np.zeros((48, 80), np.uint8)
IDS[5:15, 10:30] = 1
IDS[30:40, 50:60] = 2
DEFECT = IDS != 0


def palette_png(path, ids: np.ndarray, colours: list[tuple[int, int, int]], **options) -> None:
    picture = Image.new("P", (ids.shape[1], ids.shape[0]))
    picture.frombytes(ids.tobytes())
    picture.putpalette([value for colour in colours for value in colour])
    picture.save(path, **options)
    with Image.open(path) as written:
        assert written.mode == "P"


@pytest.mark.parametrize(
    "colours",
    [
        [(0, 0, 0), (0, 0, 0), (0, 0, 0)],  # as VisA's: all black to the eye
        [(0, 0, 0), (1, 1, 1), (2, 2, 2)],
        [(0, 0, 0), (255, 0, 0), (0, 255, 0)],
        [(255, 255, 255), (255, 0, 0), (0, 255, 0)],
    ],
    ids=["black", "ids", "colours", "white background"],
)
@pytest.mark.parametrize("bits", [2, 8])
def test_palette_indices_are_class_ids(tmp_path, colours, bits):
    palette_png(tmp_path / "m.png", IDS, colours, bits=bits)
    assert np.array_equal(read_mask(tmp_path / "m.png"), DEFECT)


@pytest.mark.parametrize("bits", [1, 8])
def test_a_palette_that_starts_with_white_has_black_as_its_background(tmp_path, bits):
    palette_png(tmp_path / "m.png", (~DEFECT).astype(np.uint8), [(255, 255, 255), (0, 0, 0)], bits=bits)
    assert np.array_equal(read_mask(tmp_path / "m.png"), DEFECT)


@pytest.mark.parametrize("values", [IDS, IDS * np.uint8(100), IDS.astype(np.uint16), (IDS * np.uint16(20000))])
def test_every_value_but_0_is_defect(tmp_path, values):
    write_png(values, tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), DEFECT)


def test_one_colour_channel_is_enough(tmp_path):
    image = np.zeros((48, 80, 3), np.uint8)
    image[..., 2] = IDS
    write_png(image, tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), DEFECT)


@pytest.mark.parametrize("name", ["m.bmp", "m.tif", "m.png"])
def test_one_bit_masks_are_read(tmp_path, name):
    Image.fromarray(DEFECT).save(tmp_path / name)
    assert np.array_equal(read_mask(tmp_path / name), DEFECT)


def test_the_blur_around_the_zeros_of_a_jpeg_is_no_defect(tmp_path):
    Image.fromarray(np.uint8(255) * DEFECT).save(tmp_path / "m.jpg", quality=75)
    with Image.open(tmp_path / "m.jpg") as written:
        assert (np.asarray(written) != 0).sum() > DEFECT.sum()
    assert np.array_equal(read_mask(tmp_path / "m.jpg"), DEFECT)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path):
    write_png(IDS, tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", shape=(48, 80)).shape == (48, 80)
    with pytest.raises(ImageError, match=r"80×48.*100×50"):
        read_mask(tmp_path / "m.png", shape=(50, 100))


def test_a_palette_mask_that_is_cut_off_is_an_error(tmp_path):
    palette_png(tmp_path / "m.png", IDS, [(0, 0, 0), (1, 1, 1), (2, 2, 2)])
    data = (tmp_path / "m.png").read_bytes()
    for length in range(20, len(data) - 12, 7):
        (tmp_path / "cut.png").write_bytes(data[:length])
        with pytest.raises(ImageError, match=r"cut\.png"):
            read_mask(tmp_path / "cut.png")
