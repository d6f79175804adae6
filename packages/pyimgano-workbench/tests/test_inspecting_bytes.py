"""Images as bytes: sizes that their headers claim, and inspection of some at once. About 5 s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from pyimgano.core.errors import ImageError
from pyimgano.workbench.inference import inspecting
from pyimgano.workbench.inference.declared_size import check_pixels, declared_size
from pyimgano.workbench.inference.inspecting import Inspector, ReceivedImage
from pyimgano.workbench.inference.opening import open_models

FORMATS = {
    "PNG": (".png", []),
    "JPEG": (".jpg", []),
    "progressive JPEG": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "BMP": (".bmp", []),
    "TIFF": (".tiff", []),
    "TIFF, LZW": (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "WebP, lossless": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "PPM": (".ppm", []),
    "PPM, text": (".ppm", [cv2.IMWRITE_PXM_BINARY, 0]),
    "JPEG 2000": (".jp2", []),
}


def encoded(form: str, image: np.ndarray) -> bytes:
    suffix, options = FORMATS[form]
    ok, data = cv2.imencode(suffix, image, options)
    assert ok
    return data.tobytes()


@pytest.mark.parametrize("form", FORMATS)
def test_the_claimed_size_is_the_decoders(form: str) -> None:
    content = encoded(form, np.ascontiguousarray(data.astronaut()[:37, :201]))
    assert declared_size(content) == (201, 37)
    assert check_pixels(content, 201 * 37) == (201, 37)
    with pytest.raises(ImageError, match="the image claims 201×37 pixels"):
        check_pixels(content, 201 * 37 - 1)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_grey_and_sixteen_bits_have_a_size_too(form: str) -> None:
    grey = np.ascontiguousarray(data.camera()[:20, :31])
    suffix = ".pgm" if form == "PPM" else FORMATS[form][0]
    assert declared_size(cv2.imencode(suffix, grey)[1].tobytes()) == (31, 20)
    if form != "BMP":
        assert declared_size(cv2.imencode(suffix, grey.astype(np.uint16) * 257)[1].tobytes()) == (31, 20)


def test_headers_of_other_programs() -> None:
    import struct

    # Big-endian and 64-bit TIFF; OS/2's bitmap; one that is stored from the top; comments in a text header.
    entry = struct.pack(">HHIHH", 256, 3, 1, 300, 0) + struct.pack(">HHII", 257, 4, 1, 200)
    assert declared_size(b"MM\0*" + struct.pack(">IH", 8, 2) + entry) == (300, 200)
    big = struct.pack("<HHQQ", 256, 16, 1, 300) + struct.pack("<HHQQ", 257, 4, 1, 200)
    assert declared_size(b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2) + big) == (300, 200)
    assert declared_size(b"BM" + bytes(12) + struct.pack("<IHH", 12, 300, 200)) == (300, 200)
    assert declared_size(b"BM" + bytes(12) + struct.pack("<Iii", 40, 300, -200)) == (300, 200)
    assert declared_size(b"P5 # a camera\n#\n300\t200\n255\n") == (300, 200)


@pytest.mark.parametrize("form", FORMATS)
def test_a_torn_header_has_no_size_and_no_error_of_its_own(form: str) -> None:
    content = encoded(form, np.ascontiguousarray(data.astronaut()[:40, :40]))
    for length in range(60):
        size = declared_size(content[:length])
        assert size is None or max(size) <= 40  # a number in text may be torn, and is smaller then
    rng = np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(content[:400])
        for position in rng.integers(2, len(changed), size=4):
            changed[position] = rng.integers(256)
        declared_size(bytes(changed))


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(30), b"%PDF-1.7", b"\0" * 100, b"RIFF" + bytes(40)])
def test_what_has_no_size_is_no_image(content: bytes) -> None:
    with pytest.raises(ImageError):
        check_pixels(content)


@pytest.fixture(scope="module")
def run(texture_runs: dict[str, Path]) -> Path:
    return texture_runs["one"]


@pytest.fixture(scope="module")
def contents(run: Path) -> list[bytes]:
    paths = sorted((run.parents[1] / "textures" / "brick" / "test").rglob("*.png"))
    return [path.read_bytes() for path in paths[:8]]


def test_an_image_has_the_same_record_alone_and_among_others(
    run: Path, contents: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(open_models(run))
    mixed = [*contents[:4], b"no image", b"", contents[4][:900], *contents[4:]]
    together = inspector([ReceivedImage(f"{n}", content) for n, content in enumerate(mixed)])
    alone = [inspector([ReceivedImage(f"{n}", content)])[0] for n, content in enumerate(mixed)]
    assert [one.record for one in together] == [one.record for one in alone]
    assert [one.record.error is None for one in together] == [True] * 4 + [False] * 3 + [True] * 4
    assert all(one.image is None and one.scored is None for one in together)
    # However few may lie in memory decoded at once.
    monkeypatch.setattr(inspecting, "PIXELS_AT_ONCE", 224 * 224 * 2)
    again = inspector([ReceivedImage(f"{n}", content) for n, content in enumerate(mixed)])
    assert [one.record for one in again] == [one.record for one in together]
    inspector.close()


def test_what_was_decoded_ahead_gives_the_same_and_takes_bounded_memory(
    run: Path, contents: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(open_models(run))
    plain = [one.record for one in inspector([ReceivedImage("x", content) for content in contents])]
    assert inspector.decode_ahead(b"no image") is None
    torn = inspector.decode_ahead(contents[0][:900])
    (failed,) = inspector([ReceivedImage("x", contents[0][:900], ahead=torn)])
    assert failed.record.error == "ImageError: the image is truncated"
    torn.release()
    monkeypatch.setattr(inspecting, "PIXELS_AT_ONCE", 224 * 224 * 3)
    ahead = [inspector.decode_ahead(content) for content in contents]
    assert [one is not None for one in ahead] == [True] * 3 + [False] * 5
    images = [ReceivedImage("x", content, ahead=one) for content, one in zip(contents, ahead)]
    assert [one.record for one in inspector(images)] == plain
    for _ in range(2):  # the second time does nothing
        ahead[0].release()
    again = [inspector.decode_ahead(content) for content in contents[:2]]
    assert [one is not None for one in again] == [True, False]
    inspector.close()


def test_too_many_pixels_are_never_decoded(
    run: Path, contents: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(open_models(run), max_pixels=224 * 224 - 1)
    monkeypatch.setattr(inspecting, "decode_image", lambda data: pytest.fail("decoded"))
    (found,) = inspector([ReceivedImage("a.png", contents[0])])
    assert found.record.error == "ImageError: the image claims 224×224 pixels"
    inspector.close()


def test_of_several_categories_each_image_meets_its_own(
    texture_runs: dict[str, Path], contents: Sequence[bytes]
) -> None:
    inspector = Inspector(open_models(texture_runs["coarse"]))
    assert inspector.categories == ["brick", "grass"]
    found = inspector([ReceivedImage("x", contents[0], name) for name in ("brick", "grass", "wood", None)])
    assert [one.record.category for one in found] == ["brick", "grass", "wood", None]
    assert [one.record.error is None for one in found] == [True, True, False, False]
    assert found[0].record.score != found[1].record.score
    only = Inspector(open_models(texture_runs["coarse"], category="grass"))
    assert only.categories == ["grass"]
    assert only([ReceivedImage("x", contents[0])])[0].record == found[1].record
    inspector.close()
    only.close()
