"""What Pillow and tifffile write, our decoder reads as Pillow does; what is not a whole image is an error."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image, ImageOps

from pyimgano.core.errors import ImageError
from pyimgano.core.images import as_rgb8, decode_image, read_image, to_rgb8, write_png

RGB = np.ascontiguousarray(skimage.data.astronaut()[:64, 180:276])
PICTURE = Image.fromarray(RGB)
GREY = np.asarray(PICTURE.convert("L"))
GREY3 = np.repeat(GREY[..., None], 3, axis=2)


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def tiff(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def difference(left: np.ndarray, right: np.ndarray) -> int:
    assert left.shape == right.shape
    return int(np.abs(left.astype(int) - right.astype(int)).max())


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "PNG", {}),
        ("L", "PNG", {}),
        ("1", "PNG", {}),
        ("P", "PNG", {}),
        ("LA", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("RGB", "BMP", {}),
        ("P", "BMP", {}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("CMYK", "TIFF", {}),
        ("P", "TIFF", {}),
        ("1", "TIFF", {}),
        ("RGB", "WEBP", {"lossless": True}),
        ("RGB", "PPM", {}),
    ],
)
def test_colour_models_are_read_as_pillow_reads_them(mode, kind, options):
    data = encode(PICTURE.convert(mode), kind, **options)
    image = as_rgb8(decode_image(data))
    assert image.shape == (64, 96, 3)
    assert image.dtype == np.uint8
    assert difference(image, by_pillow(data)) == 0


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_are_read_as_pillow_reads_them_but_for_rounding(mode):
    data = encode(PICTURE.convert(mode), "JPEG", quality=95)
    assert difference(as_rgb8(decode_image(data)), by_pillow(data)) <= 2


def test_alpha_is_dropped_and_leaves_the_colours_as_they_are():
    picture = PICTURE.convert("RGBA")
    picture.putalpha(Image.fromarray(np.tile(np.arange(96, dtype=np.uint8), (64, 1))))
    assert difference(as_rgb8(decode_image(encode(picture, "PNG"))), RGB) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_the_exif_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encode(PICTURE, kind, exif=exif)
    assert difference(as_rgb8(decode_image(data)), by_pillow(data)) <= 2


def test_sixteen_bits_keep_their_depth_until_they_are_made_eight():
    deep = GREY.astype(np.uint16) * 257
    for data in (encode(Image.fromarray(deep), "PNG"), tiff(deep)):
        image = decode_image(data)
        assert image.dtype == np.uint16
        assert np.array_equal(image, deep)
        assert np.array_equal(to_rgb8(image), GREY3)
    assert np.array_equal(to_rgb8(decode_image(tiff(RGB.astype(np.uint16) * 257))), RGB)


def test_twelve_bits_in_sixteen_fill_the_range_when_it_is_stated():
    twelve = ((GREY.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16)
    dark = to_rgb8(decode_image(tiff(twelve)))
    assert dark.max() <= 16
    assert difference(to_rgb8(decode_image(tiff(twelve)), value_range=(0, 4095)), GREY3) <= 1


def test_float_tiffs_in_0_to_1_are_taken_and_others_ask_what_they_mean():
    assert np.array_equal(to_rgb8(decode_image(tiff(RGB.astype(np.float32) / 255))), RGB)
    heights = decode_image(tiff(GREY.astype(np.float32) * 2 - 100))
    with pytest.raises(ImageError, match="float values from") as caught:
        to_rgb8(heights, where="part.tif")
    assert caught.value.where == "part.tif"
    assert "value_range" in caught.value.hint
    assert difference(to_rgb8(heights, value_range=(-100, 410)), GREY3) <= 1


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(poison):
    values = GREY.astype(np.float32) / 255
    values[3, 4] = poison
    data = tiff(values)
    with pytest.raises(ImageError):
        to_rgb8(decode_image(data))
    with pytest.raises(ImageError, match="finite"):
        to_rgb8(decode_image(data), value_range=(0, 1))


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.int32), np.zeros((4, 4, 2), np.uint8), np.zeros(7, np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_other_shapes_and_types_are_refused_with_what_is_allowed(array):
    with pytest.raises(ImageError) as caught:
        to_rgb8(array)
    assert caught.value.allowed


def test_a_backwards_value_range_is_refused():
    with pytest.raises(ImageError, match="value_range"):
        to_rgb8(GREY, value_range=(255, 0))


def test_rgb8_arrays_pass_unchanged_and_others_do_not_alias_their_source():
    assert to_rgb8(RGB) is RGB
    assert np.array_equal(to_rgb8(GREY[..., None]), GREY3)
    assert np.array_equal(to_rgb8(GREY > 99), np.repeat(((GREY > 99) * np.uint8(255))[..., None], 3, axis=2))


@pytest.mark.parametrize("name", ["Prüfling äöü.png", "部品_001.PNG", "деталь №5.png", "with space & 'quote'.png"])
def test_any_path_is_read_and_written(tmp_path, name):
    folder = tmp_path / "Ordner – Ωμέγα"
    folder.mkdir()
    write_png(RGB, folder / name)
    assert np.array_equal(read_image(folder / name), RGB)
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("WEBP", {"lossless": True}),
        ("PPM", {}),
    ],
)
def test_a_file_that_is_cut_off_anywhere_is_an_error(kind, options):
    data = encode(PICTURE, kind, **options)
    assert as_rgb8(decode_image(data)).shape == (64, 96, 3)
    for share in np.linspace(0.02, 0.98, 25):
        with pytest.raises(ImageError) as caught:
            decode_image(data[: int(len(data) * share)], where="cut.img")
        assert caught.value.where == "cut.img"


def test_a_jpeg_whose_thumbnail_is_whole_and_which_is_cut_off_itself_is_an_error():
    thumbnail = encode(PICTURE.resize((24, 16)), "JPEG")
    # As cameras do: a whole JPEG, with its end marker, inside a header segment of the picture.
    segment = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\x00\x00" + thumbnail
    data = encode(PICTURE, "JPEG")
    with_thumbnail = data[:2] + segment + data[2:]
    assert decode_image(with_thumbnail).shape == (64, 96, 3)
    with pytest.raises(ImageError):
        decode_image(with_thumbnail[: -len(data) // 2])


@pytest.mark.parametrize("content", [b"", b"not an image\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 4096])
def test_what_is_not_an_image_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.where == str(path)


def test_a_folder_and_a_missing_file_are_errors_that_name_them(tmp_path):
    (tmp_path / "x.png").mkdir()
    for name in ("x.png", "missing.png"):
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_a_damaged_png_is_an_error():
    data = bytearray(encode(PICTURE, "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError):
        decode_image(bytes(data))


def test_an_image_of_more_pixels_than_opencv_takes_says_what_to_set():
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="cannot decode") as caught:
        decode_image(png)
    assert "OPENCV_IO_MAX_IMAGE_PIXELS" in caught.value.hint
