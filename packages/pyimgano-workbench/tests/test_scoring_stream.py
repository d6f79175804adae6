"""The stream of scores: each image has a score or an error, whatever the batch, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyimgano.core.contracts import Sample
from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import ImageError, PyimganoError
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.records import RECORD_FIELDS, PredictionRecord, read_records, write_records
from pyimgano.workbench.scoring import score_stream


class Distance(BaseDetector):
    """Distance to the mean image; refuses what is all black, as a model might."""

    def _fit(self, images: Any) -> None:
        self.mean_ = np.mean([image for batch in images for image in batch], axis=0)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Any]:
        found = np.stack([np.abs(image - self.mean_).mean(axis=2) for image in batch]).astype(np.float32)
        scores = np.array([np.nan if not image.any() else one.max() for image, one in zip(batch, found)])
        return scores, found if maps else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"mean": self.mean_}, {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.mean_ = arrays["mean"]


@pytest.fixture(scope="module")
def detector(cell_images: dict[str, list[np.ndarray]]) -> Distance:
    return Distance().fit(cell_images["good"][:20])


@pytest.fixture
def files(tmp_path: Path, cell_images: dict[str, list[np.ndarray]]) -> list[Path]:
    paths = [tmp_path / f"{index}.png" for index in range(12)]
    for path, image in zip(paths, cell_images["good"][20:]):
        write_png(image, path)
    return paths


def test_every_readable_image_has_the_detectors_own_score_and_map(detector: Distance, files: list[Path]) -> None:
    expected = detector.infer(files)
    found = list(score_stream(detector, files, batch_size=5))
    assert [scored.index for scored in found] == list(range(12))
    assert [scored.score for scored in found] == list(expected.image_scores)
    assert all(np.array_equal(scored.map, one) for scored, one in zip(found, expected.maps))
    assert {scored.shape for scored in found} == {(64, 64)}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_unreadable_images_are_errors_and_cost_the_others_nothing(
    detector: Distance, files: list[Path], batch_size: int
) -> None:
    clean = [scored.score for scored in score_stream(detector, files, maps=False)]
    data = files[3].read_bytes()
    files[3].write_bytes(data[: len(data) // 2])
    files[4].write_text("not an image")
    files[5].unlink()
    found = list(score_stream(detector, files, batch_size=batch_size))
    assert [scored.index for scored in found if scored.error is not None] == [3, 4, 5]
    for scored in found:
        if scored.error is None:
            assert scored.score == clean[scored.index]
        else:
            assert isinstance(scored.error, ImageError)
            assert (scored.score, scored.map) == (None, None)


def test_an_image_that_the_model_fails_on_is_an_error_and_costs_its_batch_nothing(
    detector: Distance, files: list[Path]
) -> None:
    clean = [scored.score for scored in score_stream(detector, files)]
    write_png(np.zeros((64, 64, 3), np.uint8), files[7])
    found = list(score_stream(detector, files, batch_size=6))
    assert "nan" in str(found[7].error)
    assert found[7].score is None
    assert [s.score for s in found[:7] + found[8:]] == clean[:7] + clean[8:]


def test_a_map_that_is_not_finite_is_an_error(detector: Distance, files: list[Path]) -> None:
    spoiled = Distance().fit(files[:2])
    spoiled._infer_batch = lambda batch, maps: (np.ones(len(batch)), np.full((len(batch), 2, 2), np.inf))
    assert ["not finite" in str(scored.error) for scored in score_stream(spoiled, files)] == [True] * 12


def test_errors_end_the_stream_where_that_is_asked_for(detector: Distance, files: list[Path]) -> None:
    files[2].write_bytes(b"")
    with pytest.raises(ImageError, match="empty") as caught:
        list(score_stream(detector, files, on_error="raise"))
    assert caught.value.where == str(files[2])
    with pytest.raises(PyimganoError, match="nan"):
        list(score_stream(detector, [np.zeros((64, 64, 3), np.uint8)], on_error="raise"))


def test_samples_arrays_and_things_with_a_path_are_sources(detector: Distance, files: list[Path]) -> None:
    class Row:
        path = files[0]

    sources = [files[0], str(files[0]), Sample("x", files[0]), Row()]
    assert len({scored.score for scored in score_stream(detector, sources)}) == 1


def test_a_stream_without_end_is_read_piece_by_piece(detector: Distance, files: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield files[taken % 12]

    stream = score_stream(detector, endless(), batch_size=2, maps=False)
    first = [next(stream) for _ in range(150)]
    stream.close()
    assert [scored.index for scored in first] == list(range(150))
    assert taken <= 150 + 64


def test_a_value_range_reads_twelve_bits_in_sixteen(detector: Distance, files: list[Path], tmp_path: Path) -> None:
    from pyimgano.core.images import read_image

    image = read_image(files[0])
    write_png((image.astype(np.uint32) * 4095 // 255).astype(np.uint16), tmp_path / "deep.png")
    scored = next(score_stream(detector, [tmp_path / "deep.png"], value_range=(0, 4095)))
    expected = next(score_stream(detector, [files[0]]))
    assert scored.score == pytest.approx(expected.score, abs=1.0)


def test_records_come_back_from_their_lines(tmp_path: Path) -> None:
    records = [
        PredictionRecord("a/b.png", category="a", label=1, defect="hole", score=0.1 + 0.2, decision="defective"),
        PredictionRecord.failed("ü.png", ImageError("the image is truncated", where="/home/somebody/ü.png"), label=0),
    ]
    write_records(records, tmp_path / "x.jsonl")
    assert read_records(tmp_path / "x.jsonl") == records
    text = (tmp_path / "x.jsonl").read_text(encoding="utf-8")
    assert text.splitlines()[1] == '{"image":"ü.png","label":0,"error":"ImageError: the image is truncated"}'
    assert "somebody" not in text
    assert RECORD_FIELDS[0] == "image"


def test_a_damaged_line_of_records_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"image":"a"}\n{"imag":"b"}\n')
    with pytest.raises(PyimganoError) as caught:
        read_records(tmp_path / "x.jsonl")
    assert caught.value.where == f"{tmp_path / 'x.jsonl'}:2"


def test_a_change_is_made_to_the_decoded_image_of_its_item(detector: Distance, files: list[Path]) -> None:
    seen = []

    def change(image: np.ndarray, item: Sample) -> np.ndarray:
        seen.append(item.id)
        if item.id == "3":
            raise ImageError("no luck", where=item.id)
        return 255 - image

    samples = [Sample(str(index), path) for index, path in enumerate(files)]
    found = list(score_stream(detector, samples, change=change))
    assert sorted(seen) == sorted(sample.id for sample in samples)
    assert found[3].score is None
    assert found[3].error is not None
    assert found[3].error.message == "no luck"
    expected = detector.infer([255 - read_image(path) for path in files]).image_scores.tolist()
    assert [scored.score for scored in found if scored.index != 3] == expected[:3] + expected[4:]
