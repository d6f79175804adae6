"""The coreset equals the plain greedy algorithm's, index by index, on real features and on nasty ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyimgano.core.images import read_image
from pyimgano.models import coreset
from pyimgano.models.coreset import coreset_size, greedy_coreset, sparse_projection
from pyimgano.models.features import create_extractor
from pyimgano.models.patches import locally_aware_patches


def plain_greedy(features: np.ndarray, size: int, start: int) -> np.ndarray:
    points = features.astype(np.float32).astype(np.float64)
    nearest = np.full(len(points), np.inf)
    chosen = [start]
    while len(chosen) < size:
        difference = points - points[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("ij,ij->i", difference, difference))
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


@pytest.fixture(scope="module")
def elpv_patches() -> np.ndarray:
    """Return patch features of real solar cells: (6272, 152), more than one pool holds."""
    spec = find_spec("elpv_dataset")
    assert spec is not None, "elpv-dataset is not installed"
    folder = Path(spec.origin).parent / "data" / "images"
    extractor = create_extractor(layers=("blocks.2", "blocks.4"), runtime="torch")
    images = [extractor.prepare(read_image(path)) for path in sorted(folder.glob("*.png"))[:8]]
    maps = extractor.extract(images)
    patches = locally_aware_patches(maps)
    return patches.reshape(-1, patches.shape[-1])


def test_the_selection_on_real_features_is_the_plain_algorithms(elpv_patches: np.ndarray) -> None:
    size = coreset_size(len(elpv_patches), 0.1)
    assert size > 4 * coreset._CELLS
    assert len(elpv_patches) > coreset._POOL
    assert greedy_coreset(elpv_patches, size, start=17).tolist() == plain_greedy(elpv_patches, size, 17).tolist()


def test_a_smaller_coreset_is_the_beginning_of_a_greater_one(elpv_patches: np.ndarray) -> None:
    greater = greedy_coreset(elpv_patches, 900, start=3)
    for size in (1, 2, 62, 255, 256, 899):
        assert greedy_coreset(elpv_patches, size, start=3).tolist() == greater[:size].tolist()


def test_a_ratio_of_one_selects_every_point_once(elpv_patches: np.ndarray) -> None:
    points = elpv_patches[:700]
    chosen = greedy_coreset(points, coreset_size(len(points), 1.0), start=5)
    assert sorted(chosen.tolist()) == list(range(700))
    assert chosen.tolist() == plain_greedy(points, 700, 5).tolist()


@pytest.fixture
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rounds so small that a few hundred points go through everything that 100,000 go through."""
    monkeypatch.setattr(coreset, "_POOL", 8)
    monkeypatch.setattr(coreset, "_INSIDE", 3)
    monkeypatch.setattr(coreset, "_ROWS", 4)
    monkeypatch.setattr(coreset, "_COLUMNS", 5)
    monkeypatch.setattr(coreset, "_CELLS", 6)


RNG = np.random.default_rng(11)
NASTY = {
    "noise": RNG.standard_normal((300, 7)),
    "all equal": np.full((200, 3), 0.37),
    "all zero": np.zeros((60, 2)),
    "each point five times": np.tile(RNG.standard_normal((50, 4)), (5, 1)),
    "a grid full of ties": np.stack(np.meshgrid(*[np.arange(6)] * 3), axis=-1).reshape(-1, 3),
    "far from the origin, where products cancel": RNG.standard_normal((250, 6)) + 1e6,
    "two clusters far from each other": RNG.standard_normal((240, 5)) + np.repeat([[0.0], [3e7]], 120, axis=0),
    "lengths from 1e-12 to 1e12": RNG.standard_normal((200, 4)) * 10.0 ** RNG.integers(-12, 13, (200, 1)),
    "tiny": RNG.standard_normal((150, 5)) * 1e-38,
    "large": RNG.standard_normal((150, 5)) * 1e35,
    "one outlier": np.concatenate([RNG.standard_normal((199, 4)), np.full((1, 4), 1e20)]),
    "one dimension": RNG.integers(0, 40, (150, 1)),
    "more dimensions than points": RNG.standard_normal((90, 300)),
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.usefixtures("small_pools")
def test_the_selection_on_nasty_points_is_the_plain_algorithms(name: str) -> None:
    points = NASTY[name].astype(np.float32)
    for size, start in ((1, 0), (2, 1), (25, 10), (len(points) // 2, 0), (len(points), len(points) - 1)):
        assert greedy_coreset(points, size, start=start).tolist() == plain_greedy(points, size, start).tolist()


@pytest.mark.usefixtures("small_pools")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_selection_is_the_plain_algorithms_whatever_the_points(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 5)))
    elements = data.draw(
        st.sampled_from(
            [
                st.integers(-3, 3).map(float),
                st.floats(-1e6, 1e6, width=32),
                st.sampled_from([0.0, 1.0, 1.0 + 2**-23, 1e4, 1e4 + 2**-9]),
            ]
        )
    )
    points = data.draw(arrays(np.float32, shape, elements=elements))
    size = data.draw(st.integers(1, len(points)))
    start = data.draw(st.integers(0, len(points) - 1))
    assert greedy_coreset(points, size, start=start).tolist() == plain_greedy(points, size, start).tolist()


def test_a_set_of_one_point_selects_it() -> None:
    assert greedy_coreset(np.ones((1, 4), np.float32), 1).tolist() == [0]


@pytest.mark.parametrize(
    ("n_points", "ratio", "size"),
    [(156_800, 0.01, 1568), (100, 0.29, 29), (100, 0.295, 29), (10, 0.01, 1), (7, 1.0, 7), (1, 0.5, 1)],
)
def test_a_ratio_means_the_product_rounded_down_and_at_least_one(n_points: int, ratio: float, size: int) -> None:
    assert coreset_size(n_points, ratio) == size


@pytest.mark.parametrize(
    ("shape", "size", "start"), [((0, 3), 1, 0), ((4,), 1, 0), ((4, 3), 0, 0), ((4, 3), 5, 0), ((4, 3), 2, 4)]
)
def test_what_cannot_be_selected_from_is_refused(shape: tuple[int, ...], size: int, start: int) -> None:
    with pytest.raises(ValueError, match="allowed"):
        greedy_coreset(np.zeros(shape, np.float32), size, start=start)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_refused(value: float) -> None:
    points = np.zeros((10, 3), np.float32)
    points[7, 1] = value
    with pytest.raises(ValueError, match="finite"):
        greedy_coreset(points, 3)


def test_a_projection_keeps_distances_on_average_and_never_adds_dimensions() -> None:
    points = np.random.default_rng(0).standard_normal((200, 400)).astype(np.float32)
    projected = sparse_projection(points, 128, seed=4)
    assert projected.shape == (200, 128)
    ratio = np.linalg.norm(projected[:100] - projected[100:], axis=1) / np.linalg.norm(
        points[:100] - points[100:], axis=1
    )
    assert abs(ratio.mean() - 1.0) < 0.05
    assert ratio.std() < 0.12
    assert np.array_equal(projected, sparse_projection(points, 128, seed=4))
    assert not np.array_equal(projected, sparse_projection(points, 128, seed=5))
    assert sparse_projection(points, 400) is points
    assert sparse_projection(points, 1000) is points
