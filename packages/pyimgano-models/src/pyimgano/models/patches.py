"""Patch features: the layers of a backbone brought to one grid, one vector a position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyimgano.core.errors import PyimganoError
from pyimgano.models.resampling import linear_taps, nearest_indices

__all__ = ["aligned_patches", "locally_aware_patches"]


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
    parts = [_bilinear(_local_mean(layer, patch_size), height, width) for layer in maps.values()]
    return _joined(parts)


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
        parts.append(layer[:, wanted][:, :, rows[:, None], columns])
    return _joined(parts)


def _finest(maps: Mapping[str, np.ndarray]) -> tuple[int, int]:
    shapes = [layer.shape[2:] for layer in maps.values()]
    height, width = max(shapes, key=lambda shape: int(shape[0]) * int(shape[1]))
    return int(height), int(width)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    count, _, height, width = parts[0].shape
    joined = np.empty((count, height, width, sum(part.shape[1] for part in parts)), dtype=np.float32)
    first = 0
    for part in parts:
        joined[..., first : first + part.shape[1]] = part.transpose(0, 2, 3, 1)
        first += part.shape[1]
    # One sum tells: a value that is not finite makes it so, finite float32 values cannot in float64.
    if not np.isfinite(joined.sum(dtype=np.float64)):
        raise PyimganoError(
            "the backbone gave features that are not finite",
            hint="its weights are damaged or do not fit: choose others",
        )
    return joined


def _local_mean(layer: np.ndarray, side: int) -> np.ndarray:
    """Return the mean over side × side neighbourhoods, zeros beyond the border."""
    if side == 1:
        return layer
    radius = side // 2
    height, width = layer.shape[2:]
    padded = np.pad(layer, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
    rows = padded[:, :, :height].copy()
    for offset in range(1, side):
        rows += padded[:, :, offset : offset + height]
    mean = rows[..., :width].copy()
    for offset in range(1, side):
        mean += rows[..., offset : offset + width]
    mean /= side * side
    return mean


def _bilinear(layer: np.ndarray, height: int, width: int) -> np.ndarray:
    if layer.shape[2:] == (height, width):
        return layer
    first, second, weight = _taps32(layer.shape[2], height)
    rows = layer[:, :, first] * (1 - weight)[:, None] + layer[:, :, second] * weight[:, None]
    first, second, weight = _taps32(layer.shape[3], width)
    result: np.ndarray = rows[..., first] * (1 - weight) + rows[..., second] * weight
    return result


def _taps32(source: int, target: int) -> tuple[Any, Any, Any]:
    first, second, weight = linear_taps(source, target)
    return first, second, weight.astype(np.float32)
