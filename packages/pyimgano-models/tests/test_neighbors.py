"""Nearest neighbours are exact, whatever the vectors, and do not depend on the company they are asked in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyimgano.models import neighbors
from pyimgano.models.neighbors import GroupNeighbors, Neighbors, squared_distances
from pyimgano.models.parallel import one_blas_thread


def plain_neighbors(bank: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    bank, vectors = bank.astype(np.float64), vectors.astype(np.float64)
    difference = vectors[:, None, :] - bank[None, :, :]
    squared = np.stack([squared_distances(rows, np.zeros_like(rows)) for rows in difference])
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(squared, order, axis=1)), order


RNG = np.random.default_rng(5)
BANKS = {
    "noise": RNG.standard_normal((180, 9)),
    "far from the origin": RNG.standard_normal((180, 9)) + 1e5,
    "each row four times": np.tile(RNG.standard_normal((40, 9)), (4, 1)),
    "all equal": np.full((50, 9), 2.5),
    "lengths from 1e-10 to 1e10": RNG.standard_normal((180, 9)) * 10.0 ** RNG.integers(-10, 11, (180, 1)),
    "so small that huge queries leave float32 in its units": RNG.standard_normal((180, 9)) * 1e-12,
    "one row": RNG.standard_normal((1, 9)),
}
QUERIES = {
    "noise": lambda bank: RNG.standard_normal((70, 9)),
    "rows of the bank": lambda bank: bank[:: max(1, len(bank) // 30)],
    "close to rows of the bank": lambda bank: bank[:30] * (1 + 1e-6),
    "huge": lambda bank: RNG.standard_normal((20, 9)) * 1e30,
}


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_ROWS", 16)
    monkeypatch.setattr(neighbors, "_COLUMNS", 13)


@pytest.mark.parametrize("vectors", QUERIES)
@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.usefixtures("small_tiles")
def test_distances_and_indices_are_the_plain_searchs(bank: str, vectors: str) -> None:
    rows = BANKS[bank].astype(np.float32)
    queries = QUERIES[vectors](rows).astype(np.float32)
    for k in sorted({1, min(2, len(rows)), min(20, len(rows)), len(rows)}):
        distances, indices = Neighbors(rows).query(queries, k)
        expected_distances, expected_indices = plain_neighbors(rows, queries, k)
        assert indices.tolist() == expected_indices.tolist()
        assert distances.tolist() == expected_distances.tolist()


@pytest.mark.usefixtures("small_tiles")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_result_is_the_plain_searchs_whatever_the_vectors(data: st.DataObject) -> None:
    dimension = data.draw(st.integers(1, 5))
    elements = data.draw(st.sampled_from([st.integers(-2, 2).map(float), st.floats(-1e9, 1e9, width=32)]))
    rows = data.draw(arrays(np.float32, (data.draw(st.integers(1, 40)), dimension), elements=elements))
    queries = data.draw(arrays(np.float32, (data.draw(st.integers(1, 20)), dimension), elements=elements))
    k = data.draw(st.integers(1, len(rows)))
    distances, indices = Neighbors(rows).query(queries, k)
    expected_distances, expected_indices = plain_neighbors(rows, queries, k)
    assert indices.tolist() == expected_indices.tolist()
    assert distances.tolist() == expected_distances.tolist()


def test_a_querys_result_does_not_depend_on_the_others_nor_on_the_threads() -> None:
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((5000, 152)).astype(np.float32)
    queries = rng.standard_normal((1200, 152)).astype(np.float32)
    search = Neighbors(bank)
    together = search.query(queries, 3)
    with one_blas_thread():
        parts = [search.query(queries[part], 3) for part in (slice(0, 1), slice(1, 785), slice(785, 1200))]
    for whole, pieces in zip(together, zip(*parts)):
        assert whole.tobytes() == np.concatenate(pieces).tobytes()
    backwards = search.query(queries[::-1], 3)
    assert backwards[0][::-1].tobytes() == together[0].tobytes()


def test_no_query_gives_no_neighbours() -> None:
    distances, indices = Neighbors(np.ones((3, 2), np.float32)).query(np.empty((0, 2), np.float32), 2)
    assert distances.shape == indices.shape == (0, 2)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (2, 3, 4)])
def test_a_bank_that_is_not_a_table_of_vectors_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        Neighbors(np.zeros(shape, np.float32))


def test_queries_that_do_not_fit_are_refused() -> None:
    search = Neighbors(np.zeros((3, 2), np.float32))
    for vectors, k in ((np.zeros((4, 3)), 1), (np.zeros(2), 1), (np.zeros((4, 2)), 0), (np.zeros((4, 2)), 4)):
        with pytest.raises(ValueError, match="allowed"):
            search.query(vectors.astype(np.float32), k)
    with pytest.raises(ValueError, match="finite"):
        search.query(np.array([[0.0, np.nan]], np.float32))


@pytest.mark.parametrize("without", [None, 3])
@pytest.mark.parametrize("k", [1, 4, 6])
def test_group_distances_are_the_lowest_of_the_plain_searchs(k, without, monkeypatch) -> None:
    monkeypatch.setattr(neighbors, "_GROUP_ROWS", 16)
    monkeypatch.setattr(neighbors, "_COLUMNS", 25)
    groups = RNG.standard_normal((7, 11, 9)).astype(np.float32)
    vectors = RNG.standard_normal((50, 9)).astype(np.float32)
    found = GroupNeighbors(groups).query(vectors, k, without=without)
    each = [plain_neighbors(group, vectors, 1)[0] for index, group in enumerate(groups) if index != without]
    assert found.tolist() == np.sort(np.concatenate(each, axis=1), axis=1)[:, :k].tolist()


def test_groups_refuse_what_does_not_fit() -> None:
    groups = GroupNeighbors(np.zeros((2, 3, 4), dtype=np.float32))
    vectors = np.zeros((5, 4), dtype=np.float32)
    for bad in (
        lambda: GroupNeighbors(np.zeros((3, 4), dtype=np.float32)),
        lambda: groups.query(vectors[:, :3], 1),
        lambda: groups.query(vectors, 3),
        lambda: groups.query(vectors, 2, without=0),
        lambda: groups.query(vectors, 1, without=2),
        lambda: groups.query(np.full((1, 4), np.nan, dtype=np.float32), 1),
    ):
        with pytest.raises(ValueError):
            bad()
