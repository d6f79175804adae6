"""The measurements under the estimates of a fit: a model's own steps, timed on a few images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.models.coreset import coreset_size, greedy_coreset
from pyimgano.models.neighbors import Neighbors

if TYPE_CHECKING:
    from pyimgano.core.detector import BaseDetector

__all__ = ["array_bytes", "bank_query_seconds", "coreset_seconds", "extract_sample", "kept_for_gradients", "timed"]

GROWTH = 0.85
"""Power of the number of points that the time of a coreset of one ratio grows with: 0.5 to 0.85 was measured with
patches of solar cells (D = 152), 25,088 to 125,440 of them, ratios 0.01 and 0.1."""

BANK_ROWS = 20_000
"""Rows of the bank that queries are timed against; beyond, time grows in proportion."""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that ``work`` takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def array_bytes(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the bytes of arrays together."""
    return sum(int(array.nbytes) for array in arrays.values())


def extract_sample(
    detector: BaseDetector, sample: Sequence[Any], extract: Callable[[list[np.ndarray]], np.ndarray]
) -> tuple[float, np.ndarray]:
    """Return the seconds that an image takes from the file to its features, and the features of the sample.

    The first image is taken once before the clock starts: threads and kernels are made on their first call.
    """
    for batch in ImageBatches(sample[:1], 1, prepare=detector.prepare):
        extract(batch)

    def work() -> np.ndarray:
        return np.concatenate([extract(b) for b in ImageBatches(sample, detector.batch_size, prepare=detector.prepare)])

    seconds, features = timed(work)
    return seconds / len(sample), features


def coreset_seconds(features: np.ndarray, n_points: int, ratio: float) -> float:
    """Return how long a greedy coreset of ``n_points`` points takes, from one of the (n, D) points at hand.

    The time grows with the power :data:`GROWTH` of the number of points as long as the ratio stays the same.
    """
    if ratio >= 1.0:
        return 0.0
    size = coreset_size(len(features), ratio)
    greedy_coreset(features[:256], 8)
    seconds, _ = timed(lambda: greedy_coreset(features, size))
    return float(seconds * max(1.0, n_points / len(features)) ** GROWTH)


def bank_query_seconds(features: np.ndarray, per_image: int, rows: int) -> float:
    """Return how long the nearest neighbours of one image's features take in a bank of so many rows.

    The bank is made of the (n, D) features at hand, again and again with a little noise: like a real one, it holds
    something near most of them.
    """
    rng = np.random.default_rng(0)
    size = min(rows, BANK_ROWS)
    taken = features[rng.integers(len(features), size=size)]
    noise = rng.standard_normal(taken.shape, dtype=np.float32) * (0.1 * float(features.std()) + 1e-6)
    neighbors = Neighbors(np.ascontiguousarray(taken + noise, dtype=np.float32))
    queries = np.ascontiguousarray(features[:per_image])
    neighbors.query(queries[:8])
    seconds, _ = timed(lambda: neighbors.query(queries))
    return float(seconds * max(1.0, rows / size))


def kept_for_gradients(work: Callable[[], Any]) -> tuple[int, Any]:
    """Return the bytes that torch keeps for gradients during ``work`` (each storage once), and what it returns.

    Frozen weights and inputs that are kept are counted, too.
    """
    from torch.autograd.graph import saved_tensors_hooks

    seen: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = max(seen.get(storage.data_ptr(), 0), int(storage.nbytes()))
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = work()
    return sum(seen.values()), result
