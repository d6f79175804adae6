"""Reading ahead keeps the order, the memory bound and the place of an error."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import skimage.data

from pyimgano.core.batching import ImageBatches, read_ahead
from pyimgano.core.errors import ImageError
from pyimgano.core.images import read_image, write_png

BRICK = skimage.data.brick()


@pytest.fixture
def paths(tmp_path):
    for index in range(11):
        write_png(BRICK[index * 8 : index * 8 + 32, : 32 + index], tmp_path / f"{index:02}.png")
    return sorted(tmp_path.iterdir())


def test_results_come_in_order_although_later_ones_are_ready_first():
    def slow_first(index):
        time.sleep(0.02 * (5 - index % 5))
        return index

    assert list(read_ahead(slow_first, 20, ahead=8, workers=4)) == list(range(20))


def test_no_more_than_the_bound_is_read_ahead_of_the_consumer():
    started, lock = [], threading.Lock()

    def note(index):
        with lock:
            started.append(index)
        return index

    taken = 0
    for _ in read_ahead(note, 60, ahead=6, workers=4):
        taken += 1
        time.sleep(0.002)
        with lock:
            assert max(started) <= taken + 6
    assert taken == 60


def test_an_error_is_raised_at_its_own_turn():
    def fail_at_five(index):
        if index == 5:
            raise ImageError("broken", where="5")
        return index

    stream = read_ahead(fail_at_five, 50, ahead=16, workers=4)
    assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ImageError, match="broken"):
        next(stream)


def test_a_consumer_that_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    stream = read_ahead(lambda index: index, 1000, ahead=8, workers=4)
    assert next(stream) == 0
    stream.close()
    assert threading.active_count() == before


def test_batches_hold_the_images_in_order_and_can_be_iterated_again(paths):
    batches = ImageBatches(paths, 4)
    for _ in range(2):
        found = list(batches)
        assert [len(batch) for batch in found] == [4, 4, 3]
        for path, image in zip(paths, [image for batch in found for image in batch]):
            assert np.array_equal(image, read_image(path))
    assert len(batches) == 11


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_images_make_few_batches(paths, count):
    assert sum(len(batch) for batch in ImageBatches(paths[:count], 4)) == count


def test_arrays_and_paths_mix_and_prepare_is_applied_once_to_each(paths):
    batches = ImageBatches([paths[0], BRICK, paths[1]], 2, prepare=lambda image: image[:16, :16])
    assert [image.shape for batch in batches for image in batch] == [(16, 16, 3)] * 3


def test_an_unreadable_image_is_raised_with_its_name(paths):
    paths[6].write_bytes(b"no image")
    stream = iter(ImageBatches(paths, 2))
    assert [len(next(stream)) for _ in range(3)] == [2, 2, 2]
    with pytest.raises(ImageError, match=r"06\.png"):
        next(stream)


def test_unreadable_images_stay_in_place_as_errors_when_they_are_to_be_kept(paths):
    paths[6].write_bytes(b"no image")
    paths[10].unlink()
    images = [image for batch in ImageBatches(paths, 4, keep_errors=True) for image in batch]
    assert [isinstance(image, ImageError) for image in images] == [index in (6, 10) for index in range(11)]
    assert images[6].where == str(paths[6])


def test_a_lazy_sequence_is_asked_for_few_items_at_a_time(paths):
    class Lazy:
        def __init__(self):
            self.asked = []

        def __len__(self):
            return 200

        def __getitem__(self, index):
            self.asked.append(index)
            return BRICK[:16, :16]

    lazy = Lazy()
    stream = iter(ImageBatches(lazy, 4, workers=2))
    next(stream)
    assert len(lazy.asked) <= 4 + 2 * 4 + 1
    stream.close()
