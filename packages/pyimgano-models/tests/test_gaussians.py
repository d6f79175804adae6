"""Gaussians fitted in a stream are those of all the data at once, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.gaussians import GaussianAccumulator


def fit(vectors: np.ndarray, epsilon: float, *, batch: int = 7):
    accumulator = GaussianAccumulator(*vectors.shape[1:])
    for start in range(0, len(vectors), batch):
        accumulator.add(vectors[start : start + batch])
    return accumulator.finish(epsilon)


def plain_distances(train: np.ndarray, test: np.ndarray, epsilon: float) -> np.ndarray:
    train, test = train.astype(np.float64), test.astype(np.float64)
    distances = np.empty(test.shape[:2])
    for position in range(train.shape[1]):
        here = train[:, position]
        covariance = np.atleast_2d(np.cov(here.T)) if len(here) > 1 else np.zeros((here.shape[1],) * 2)
        precision = np.linalg.inv(covariance + epsilon * np.eye(here.shape[1]))
        offset = test[:, position] - here.mean(axis=0)
        distances[:, position] = np.sqrt(np.einsum("ni,ij,nj->n", offset, precision, offset))
    return distances


def draw(rng: np.random.Generator, count: int, positions: int, features: int, mean: float) -> np.ndarray:
    mix = np.random.default_rng(99).standard_normal((positions, features, features))
    vectors = np.einsum("npi,pij->npj", rng.standard_normal((count, positions, features)), mix) + mean
    return vectors.astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 5, 32, 33, 100])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_distances_are_those_of_numpys_covariance(count: int, mean: float) -> None:
    rng = np.random.default_rng(count)
    train, test = (draw(rng, n, 70, 12, mean) for n in (count, 6))
    distances = fit(train, 0.01).distances(test)
    assert distances.dtype == np.float32
    assert np.isfinite(distances).all()
    np.testing.assert_allclose(distances, plain_distances(train, test, 0.01), rtol=2e-5)


def test_the_result_does_not_depend_on_how_the_images_are_batched() -> None:
    train = draw(np.random.default_rng(0), 75, 130, 9, 5.0)
    gaussians = [fit(train, 0.01, batch=batch) for batch in (1, 8, 33, 75)]
    assert len({g.mean.tobytes() for g in gaussians}) == 1
    assert len({g.whitening.tobytes() for g in gaussians}) == 1


def test_an_images_distances_do_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    gaussians = fit(draw(rng, 30, 130, 16, 0.0), 0.01)
    test = draw(rng, 9, 130, 16, 0.0)
    together = gaussians.distances(test)
    assert np.concatenate([gaussians.distances(one[None]) for one in test]).tobytes() == together.tobytes()


def test_features_that_never_change_need_an_epsilon_that_their_numbers_can_hold() -> None:
    train = np.full((10, 3, 4), 2.0, dtype=np.float32)
    distances = fit(train, 0.04).distances(train[:1] + np.float32(1.0))
    np.testing.assert_allclose(distances, np.sqrt(4 / 0.04), rtol=1e-6)
    spread = np.random.default_rng(0).standard_normal((4, 1, 20)).astype(np.float32) * 1e6
    with pytest.raises(ValueError, match="epsilon = 1e-09 is too small"):
        fit(spread, 1e-9)
