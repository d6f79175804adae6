"""Patch features: the layers of a backbone brought to one grid, one vector a position."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Callable

import numpy as np

from pyimgano.core.errors import PyimganoError
from pyimgano.models.resampling import linear_taps, nearest_indices

if TYPE_CHECKING:
    from pyimgano.core.batching import ImageBatches

__all__ = ["aligned_patches", "gather_patches", "locally_aware_patches", "unit_vectors"]


def gather_patches(images: ImageBatches, describe: Callable[[list[np.ndarray]], np.ndarray]) -> np.ndarray:
    """Return the patch features of all images, in their order.

    Parameters
    ----------
    images : ImageBatches
        At least one image.
    describe : callable
        From a batch of prepared images to their patch features, (n, h, w, D) float32.

    Returns
    -------
    ndarray, (N, h, w, D) float32
        Filled batch by batch: no second copy is held.
    """
    features, filled = np.empty((0, 0, 0, 0), dtype=np.float32), 0
    for batch in images:
        patches = describe(batch)
        if filled == 0:
            features = np.empty((len(images), *patches.shape[1:]), dtype=np.float32)
        features[filled : filled + len(patches)] = patches
        filled += len(patches)
    return features


def locally_aware_patches(maps: Mapping[str, np.ndarray], *, patch_size: int = 3) -> np.ndarray:
    """Return PatchCore's locally aware patch features.

    Every position of every layer becomes the mean of its neighbourhood; the layers are then brought to the grid of
    the finest by bilinear interpolation, and joined.

    Parameters
    ----------
    maps : mapping of str to ndarray
        Layer → (N, C, h, w) float32.
    patch_size : int
        Odd side of the neighbourhood. Beyond the border there are zeros, which count: the mean always divides by
        ``patch_size**2``, as in the reference implementation.

    Returns
    -------
    ndarray, (N, h, w, D) float32
        ``D`` is the sum of the channels, in the order of the layers. An image's features do not depend on the others.

    Raises
    ------
    PyimganoError
        When a feature is not finite.
    """
    height, width = _finest(maps)
    # Channels last: every step then moves whole vectors, and the result has that layout.
    layers = [np.ascontiguousarray(layer.transpose(0, 2, 3, 1)) for layer in maps.values()]
    return _joined([_bilinear(_local_mean(layer, patch_size), height, width) for layer in layers])


def aligned_patches(maps: Mapping[str, np.ndarray], channels: np.ndarray) -> np.ndarray:
    """Return PaDiM's embedding: the layers brought to the grid of the finest by repetition, some channels of all.

    Parameters
    ----------
    maps : mapping of str to ndarray
        Layer → (N, C, h, w) float32.
    channels : ndarray, (D,) of int
        Ascending indices into the channels of all layers, in the order of the layers.

    Returns
    -------
    ndarray, (N, h, w, D) float32
        An image's features do not depend on the others.

    Raises
    ------
    PyimganoError
        When a feature is not finite.
    """
    height, width = _finest(maps)
    parts, first = [], 0
    for layer in maps.values():
        wanted = channels[(channels >= first) & (channels < first + layer.shape[1])] - first
        first += layer.shape[1]
        rows, columns = nearest_indices(layer.shape[2], height), nearest_indices(layer.shape[3], width)
        taken = np.ascontiguousarray(layer[:, wanted].transpose(0, 2, 3, 1))
        parts.append(taken[:, rows[:, None], columns])
    return _joined(parts)


def unit_vectors(rows: np.ndarray) -> np.ndarray:
    """Return (n, D) float32 rows scaled to length 1; a row of zeros stays as it is."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    scaled: np.ndarray = (rows / np.maximum(lengths, 1e-12)[:, None]).astype(np.float32)
    return scaled


def _finest(maps: Mapping[str, np.ndarray]) -> tuple[int, int]:
    shapes = [layer.shape[2:] for layer in maps.values()]
    height, width = max(shapes, key=lambda shape: int(shape[0]) * int(shape[1]))
    return int(height), int(width)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Return (N, h, w, C) layers side by side, all finite."""
    joined = np.concatenate(parts, axis=-1, dtype=np.float32)
    # One sum tells: a value that is not finite makes it so, finite float32 values cannot in float64.
    if not np.isfinite(joined.sum(dtype=np.float64)):
        raise PyimganoError(
            "the backbone gave features that are not finite",
            hint="its weights are damaged or do not fit: choose others",
        )
    return joined


def _local_mean(layer: np.ndarray, side: int) -> np.ndarray:
    """Return the mean over side × side neighbourhoods of (N, h, w, C), zeros beyond the border."""
    if side == 1:
        return layer
    radius = side // 2
    height, width = layer.shape[1:3]
    padded = np.pad(layer, ((0, 0), (radius, radius), (radius, radius), (0, 0)))
    rows = padded[:, :height].copy()
    for offset in range(1, side):
        rows += padded[:, offset : offset + height]
    mean = rows[:, :, :width].copy()
    for offset in range(1, side):
        mean += rows[:, :, offset : offset + width]
    mean /= side * side
    return mean


def _bilinear(layer: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (N, h, w, C) interpolated to (N, height, width, C)."""
    if layer.shape[1:3] == (height, width):
        return layer
    first, second, weight = _taps(layer.shape[1], height)
    weight = weight[:, None, None]
    rows = layer[:, first] * (1 - weight) + layer[:, second] * weight
    first, second, weight = _taps(layer.shape[2], width)
    weight = weight[:, None]
    result: np.ndarray = rows[:, :, first] * (1 - weight) + rows[:, :, second] * weight
    return result


@lru_cache(maxsize=32)
def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second, weight = linear_taps(source, target)
    return first, second, weight.astype(np.float32)
