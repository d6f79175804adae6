"""Learned state comes back to the last bit, or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import CheckpointError
from pyimgano.core.state import DETECTOR_JSON, STATE_FILE, read_state, write_state

ARRAYS = {
    "bank": np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32),
    "mean": np.arange(6, dtype=np.float64)[::2],  # not contiguous
    "count": np.array(3, dtype=np.int64),
    "empty": np.empty((0, 4), np.float32),
    "special": np.array([np.nan, np.inf, -0.0]),
}


def test_arrays_and_facts_come_back_as_they_were(tmp_path):
    write_state(tmp_path / "new" / "folder", ARRAYS, {"class": "X", "name": "Größe", "sizes": [1, 2]})
    arrays, facts = read_state(tmp_path / "new" / "folder")
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == np.ascontiguousarray(array).tobytes()
    assert facts["name"] == "Größe"
    assert facts["sizes"] == [1, 2]


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_state(tmp_path / name, ARRAYS, {"class": "X"})
    for file in (STATE_FILE, DETECTOR_JSON):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("damage", ["flip", "cut", "other", "missing"])
def test_a_state_that_is_not_the_saved_one_is_refused(tmp_path, damage):
    write_state(tmp_path, ARRAYS, {"class": "X"})
    file = tmp_path / STATE_FILE
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(data[:-10])
    elif damage == "other":
        write_state(tmp_path / "other", {"bank": np.zeros(3)}, {})
        file.write_bytes((tmp_path / "other" / STATE_FILE).read_bytes())
    else:
        file.unlink()
    with pytest.raises(CheckpointError, match=STATE_FILE):
        read_state(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "NaN", '{"schema_version": 99}', '{"class": "X"}'])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    write_state(tmp_path, ARRAYS, {"class": "X"})
    (tmp_path / DETECTOR_JSON).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError):
        read_state(tmp_path)


def test_a_file_that_is_no_safetensors_is_refused_even_with_the_right_checksum(tmp_path):
    from pyimgano.core.files import sha256_file

    write_state(tmp_path, ARRAYS, {"class": "X"})
    (tmp_path / STATE_FILE).write_bytes(b"\x80\x04cos\nsystem\n")
    description = json.loads((tmp_path / DETECTOR_JSON).read_text(encoding="utf-8"))
    description["state_sha256"] = sha256_file(tmp_path / STATE_FILE)
    (tmp_path / DETECTOR_JSON).write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_state(tmp_path)


def test_a_new_state_over_an_old_one_never_has_the_old_description(tmp_path, monkeypatch):
    write_state(tmp_path, ARRAYS, {"class": "old"})

    def fail(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr("pyimgano.core.state.dump_json", fail)
    with pytest.raises(OSError, match="full"):
        write_state(tmp_path, {"bank": np.zeros(3)}, {"class": "new"})
    with pytest.raises(CheckpointError, match="not a saved detector"):
        read_state(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot make the folder"):
        write_state(tmp_path / "file" / "state", ARRAYS, {})


def test_a_detector_that_has_no_parameters_and_so_no_constructor_is_saved_and_loaded(tmp_path):
    class Brightness(BaseDetector):
        def _fit(self, images):
            self.mean_ = float(np.mean([image.mean() for batch in images for image in batch]))

        def _infer_batch(self, batch, *, maps):
            return np.array([abs(image.mean() - self.mean_) for image in batch]), None

        def _get_state(self):
            return {"mean": np.array([self.mean_])}, {}

        def _set_state(self, arrays, facts):
            self.mean_ = float(arrays["mean"][0])

    images = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 90)]
    detector = Brightness().fit(images[:2])
    assert detector.get_params() == {}
    detector.save(tmp_path / "saved")
    assert list(Brightness.load(tmp_path / "saved").decision_function(images)) == [5.0, 5.0, 75.0]
