"""Tiles cover an image, their maps merge without a seam, and a tiled model scores as an untiled one would."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.creation import create_model
from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import ImageError, ParameterError, PyimganoError
from pyimgano.core.images import read_image
from pyimgano.workbench.pipeline import Pipeline, load_detector
from pyimgano.workbench.tiling import MapMerge, Tiling
from pyimgano.workbench.tiling.training_tiles import TrainingTiles


def photograph(name: str) -> np.ndarray:
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is not installed"
    return read_image(Path(spec.origin).parent / "data" / name)


class BlurredDarkness(BaseDetector):
    """A scorer that sees the same everywhere: the map is the blurred darkness, the score its maximum."""

    radius = 3

    def __init__(self, batch_size: int = 4) -> None:
        self.batch_size = batch_size

    def _fit(self, images) -> None:
        self.seen_ = sum(len(batch) for batch in images)

    def _infer_batch(self, batch, *, maps):
        import cv2

        side = 2 * self.radius + 1
        found = np.stack([cv2.blur(255.0 - one.mean(axis=2, dtype=np.float32), (side, side)) for one in batch])
        return found.max(axis=(1, 2)), found if maps else None

    def _get_state(self):
        return {}, {"seen": self.seen_}

    def _set_state(self, arrays, facts):
        self.seen_ = facts["seen"]


def tiled(tile=(64, 48), **more) -> Pipeline:
    return Pipeline(BlurredDarkness(), tiling=Tiling(tile, **more))


@pytest.mark.parametrize("shape", [(64, 48), (65, 48), (64, 300), (517, 233), (1000, 49)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_tiles_cover_the_image_to_its_border_and_overlap_at_least_as_much_as_asked(shape, overlap) -> None:
    (grid,) = Tiling((64, 48), overlap).grids(shape)
    covered = np.zeros(shape, dtype=bool)
    for index in range(len(grid)):
        part = grid.cut(covered, index)
        assert part.shape == (64, 48)
        part[...] = True
    assert covered.all()
    for starts, side, tile in ((grid.tops, shape[0], 64), (grid.lefts, shape[1], 48)):
        assert starts[0] == 0
        assert starts[-1] + tile == side
        # Spread evenly, a stretch is rounded up by less than a pixel.
        assert all(tile - (after - before) >= int(tile * overlap) - 1 for before, after in zip(starts, starts[1:]))


def test_an_image_smaller_than_a_tile_is_refused_with_both_sizes() -> None:
    with pytest.raises(ImageError, match="47×80 pixels, a tile 48×64"):
        Tiling((64, 48)).grids((80, 47))
    with pytest.raises(ImageError, match=r"40×40 pixels at the scale 0\.5"):
        Tiling((64, 48), scales=(1.0, 0.5)).grids((80, 80))
    for wrong in ({"tile": (16, 64)}, {"overlap": 1.0}, {"scales": (2.0,)}, {"merge": "median"}, {"scales": ()}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Tiling(**{"tile": (64, 64), **wrong})


def test_an_image_in_tiles_has_the_map_that_it_has_whole() -> None:
    image = photograph("coffee.png")[:200, :333]
    whole = BlurredDarkness()
    whole.fit([image])
    pipeline = tiled().fit([image])
    expected, found = whole.infer([image]), pipeline.infer([image])
    assert found.maps[0].shape == (200, 333)
    inside = BlurredDarkness.radius  # a tile's own border is mirrored; in the whole image it is not
    difference = np.abs(found.maps[0] - expected.maps[0])
    assert difference[0, 0] <= 1e-4 * 255
    # Away from the tiles' borders, whose weights are next to nothing but not nothing, the two are one.
    assert np.median(difference) <= 1e-4
    assert difference.max() <= 0.02 * 255
    assert difference[inside:-inside, inside:-inside].mean() <= 0.05
    assert abs(found.image_scores[0] - expected.image_scores[0]) <= 0.02 * 255


@pytest.mark.parametrize("merge", ["hann", "max"])
def test_a_scorer_without_borders_gives_the_same_map_in_tiles_to_rounding(merge) -> None:
    class Darkness(BlurredDarkness):
        radius = 0

    image = photograph("coffee.png")[:150, :201]
    pipeline = Pipeline(Darkness(), tiling=Tiling((64, 48), 0.3, merge=merge)).fit([image])
    expected = Darkness().fit([image]).infer([image])
    found = pipeline.infer([image])
    assert np.abs(found.maps[0] - expected.maps[0]).max() <= 1e-3
    assert found.image_scores[0] == expected.image_scores[0]


def test_no_seam_shows_in_the_map_of_a_smooth_image() -> None:
    rows, columns = np.mgrid[0:300, 0:400]
    smooth = (127 + 100 * np.sin(rows / 60.0) * np.cos(columns / 80.0)).astype(np.uint8)
    image = np.repeat(smooth[..., None], 3, axis=2)
    pipeline = tiled((96, 96), overlap=0.25).fit([image])
    found = pipeline.infer([image]).maps[0]
    for axis in (0, 1):
        steps = np.abs(np.diff(found, axis=axis)).max(axis=1 - axis)
        assert steps.max() <= 1.5 * np.percentile(steps, 75) + 1.0


def test_a_map_of_few_values_is_merged_between_them() -> None:
    """A tile's map is coarser than the tile: a plane stays a plane, whatever the tiles' offsets."""
    (grid,) = Tiling((96, 96), 0.3).grids((300, 261))
    merge = MapMerge(grid, (14, 14), merge="hann")
    for index, (top, left) in enumerate(grid.corners()):
        rows, columns = (np.arange(14) + 0.5) * 96 / 14 + top, (np.arange(14) + 0.5) * 96 / 14 + left
        merge.add(index, (2.0 * rows[:, None] - 3.0 * columns[None]).astype(np.float32))
    found = merge.finish()
    assert found.shape == (44, 38)
    rows, columns = (np.arange(44) + 0.5) * 300 / 44, (np.arange(38) + 0.5) * 261 / 38
    expected = 2.0 * rows[:, None] - 3.0 * columns[None]
    # Half a value from the image's border a tile's map ends, and its last value goes on.
    assert np.abs(found - expected)[1:-1, 1:-1].max() <= 0.05


def test_an_image_alone_has_the_score_and_map_that_it_has_beside_others_of_other_sizes() -> None:
    images = [photograph("coffee.png")[: 90 + 40 * index, : 200 - 30 * index] for index in range(4)]
    pipeline = tiled().fit(images)
    together = pipeline.infer(images)
    for index, image in enumerate(images):
        alone = pipeline.infer([image])
        assert alone.image_scores[0] == together.image_scores[index]
        assert np.array_equal(alone.maps[0], together.maps[index])


def test_scales_are_averaged_on_the_grid_of_the_first() -> None:
    image = photograph("coffee.png")[:200, :200]
    alone = [tiled((64, 64), scales=(scale,)).fit([image]).infer([image]) for scale in (1.0, 0.5)]
    both = tiled((64, 64), scales=(1.0, 0.5)).fit([image]).infer([image])
    assert both.maps[0].shape == (200, 200)
    assert both.image_scores[0] == max(one.image_scores[0] for one in alone)
    import cv2

    enlarged = cv2.resize(alone[1].maps[0], (200, 200), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(both.maps[0], (alone[0].maps[0] + enlarged) / 2, atol=1e-3)


def test_a_model_is_fitted_on_all_tiles_or_on_as_many_of_each_image_as_asked() -> None:
    images = [photograph("coffee.png")[:200, :333], photograph("coffee.png")[:64, :48]]
    counts = [len(Tiling((64, 48)).grids(image.shape[:2])[0]) for image in images]
    assert tiled().fit(images).detector.seen_ == sum(counts)
    some = TrainingTiles(images, Tiling((64, 48)), per_image=5, seed=0)
    again = TrainingTiles(images, Tiling((64, 48)), per_image=5, seed=0)
    other = TrainingTiles(images, Tiling((64, 48)), per_image=5, seed=1)
    assert len(some) == 5 + 1
    assert all(np.array_equal(one, two) for one, two in zip(some, again))
    assert not all(np.array_equal(one, two) for one, two in zip(some, other))
    assert np.array_equal(some[5], images[1])


def test_what_a_fit_on_tiles_needs_is_told_as_the_tiles_are_counted() -> None:
    images = [photograph("brick.png")[:, :256]] * 3
    parameters = {"backbone": "efficientnet-lite0", "input_size": 64, "coreset_sampling_ratio": 0.2, "device": "cpu"}
    pipeline = Pipeline(create_model("patchcore", **parameters), tiling=Tiling((128, 128)), tiles_per_image=5)
    told = pipeline.resource_estimate(images[:2], 3)
    pipeline.fit(images)
    assert told.bank == pipeline.detector.memory_bank_.shape
    assert any("15 tiles an image, 5 of each" in line for line in told.assumptions)
    with pytest.raises(PyimganoError, match="BlurredDarkness has no rule"):
        tiled().resource_estimate(images[:2], 3)


def test_patchcore_in_tiles_finds_what_it_cannot_see_whole(tmp_path: Path) -> None:
    wall = photograph("brick.png")
    good, test = wall[:, :256], wall[:, 256:].copy()
    test[300:340, 100:140] = photograph("coffee.png")[200:240, 300:340]
    parameters = {"backbone": "efficientnet-lite0", "input_size": 64, "coreset_sampling_ratio": 0.2, "device": "cpu"}
    pipeline = Pipeline(create_model("patchcore", **parameters), tiling=Tiling((128, 128), 0.5))
    pipeline.fit([good])
    found = pipeline.infer([test, wall[:, 256:]])
    assert found.image_scores[0] > found.image_scores[1]
    row, column = np.unravel_index(found.maps[0].argmax(), found.maps[0].shape)
    height, width = found.maps[0].shape
    assert abs(row * 512 / height - 320) < 32
    assert abs(column * 256 / width - 120) < 32
    pipeline.save(tmp_path / "saved")
    loaded = load_detector("patchcore", tmp_path / "saved")
    again = loaded.infer([test])
    assert again.image_scores[0] == found.image_scores[0]
    assert np.array_equal(again.maps[0], found.maps[0])
