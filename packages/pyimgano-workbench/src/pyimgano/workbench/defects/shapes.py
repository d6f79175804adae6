"""Random shapes in [0, 1] on a whole image. NumPy only, so that every platform draws the same ones.

What these draw is part of the demo's dataset and of measurements that were made with it: their output stays as it is.
Shapes that are drawn in a window of their own are in :mod:`pyimgano.workbench.defects.outlines`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["blob", "curve", "smooth_noise", "soften", "stroke"]


def soften(image: np.ndarray, radius: int) -> np.ndarray:
    """Return (H, W) or (H, W, C) float32 averaged over a window of 2·radius + 1 pixels, twice (a tent filter)."""
    import numpy as np

    result = np.asarray(image, dtype=np.float32)
    if radius < 1:
        return result
    for _ in range(2):
        for axis in (0, 1):
            result = _box(result, radius, axis)
    return result


def _box(image: np.ndarray, radius: int, axis: int) -> np.ndarray:
    import numpy as np

    padding = [(0, 0)] * image.ndim
    padding[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(image, padding, mode="edge"), axis=axis, dtype=np.float64)
    width = 2 * radius + 1
    length = image.shape[axis]
    before: list[slice] = [slice(None)] * image.ndim
    behind: list[slice] = [slice(None)] * image.ndim
    before[axis], behind[axis] = slice(0, length), slice(width, width + length)
    upper, lower = sums[tuple(behind)], sums[tuple(before)]
    return ((upper - lower) / width).astype(np.float32)


def smooth_noise(shape: tuple[int, int], scale: int, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W) float32 noise of mean 0 and standard deviation 1 whose features are about ``scale`` pixels wide."""
    import numpy as np

    noise = soften(rng.standard_normal(shape), max(1, scale // 2))
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-6), dtype=np.float32)


def blob(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    size: tuple[float, float] = (0.1, 0.2),
    roughness: float = 0.3,
    edge: float = 2.0,
) -> np.ndarray:
    """Return the opacity of one irregular round spot that lies inside the image.

    Parameters
    ----------
    shape : (int, int)
        (H, W) of the image.
    rng : Generator
        Source of chance.
    size : (float, float)
        Range of the radius, as a fraction of the image's shorter side.
    roughness : float
        How far the outline strays from an ellipse, as a fraction of the radius.
    edge : float
        Width of the soft edge in pixels.

    Returns
    -------
    ndarray, (H, W) float32
        In [0, 1].
    """
    import numpy as np

    height, width = shape
    radius = max(2.5, rng.uniform(*size) * min(shape))  # smaller ones could fall between the pixels
    stretch = rng.uniform(0.7, 1.4)
    angle = rng.uniform(0.0, np.pi)
    reach = radius * max(stretch, 1.0 / stretch) * (1.0 + roughness)
    row = rng.uniform(min(reach, height / 2), max(height - reach, height / 2))
    column = rng.uniform(min(reach, width / 2), max(width - reach, width / 2))
    noise = smooth_noise(shape, max(3, int(radius)), rng)
    # Nothing of it lies further out; the cost of the noise is that of the whole image all the same.
    border = int(np.ceil(reach + edge * max(stretch, 1.0 / stretch))) + 2
    top, left = max(0, int(row) - border), max(0, int(column) - border)
    bottom, right = min(height, int(row) + border + 1), min(width, int(column) + border + 1)
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    rows, columns = rows - row, columns - column
    along = (columns * np.cos(angle) + rows * np.sin(angle)) / stretch
    across = (rows * np.cos(angle) - columns * np.sin(angle)) * stretch
    distance = np.hypot(along, across)
    outline = radius * (1.0 + 0.5 * roughness * np.clip(noise[top:bottom, left:right], -2.0, 2.0))
    opacity = np.zeros(shape, dtype=np.float32)
    opacity[top:bottom, left:right] = np.clip((outline - distance) / edge + 0.5, 0.0, 1.0)
    return opacity


def curve(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    length: tuple[float, float] = (0.35, 0.8),
    width: float = 3.0,
    bend: float = 0.25,
) -> np.ndarray:
    """Return the opacity of one curved line (a quadratic Bézier curve) that lies inside the image.

    Parameters
    ----------
    shape : (int, int)
        (H, W) of the image.
    rng : Generator
        Source of chance.
    length : (float, float)
        Range of the distance between its ends, as a fraction of the image's shorter side.
    width : float
        Width of the line in pixels; it thins out towards its ends.
    bend : float
        How far its middle strays sideways, as a fraction of its length.

    Returns
    -------
    ndarray, (H, W) float32
        In [0, 1].
    """
    import numpy as np

    extent = np.array(shape, dtype=np.float64)
    span = rng.uniform(*length) * extent.min()
    angle = rng.uniform(0.0, np.pi)
    direction = np.array([np.sin(angle), np.cos(angle)])
    margin = np.minimum(np.abs(direction) * span / 2 + width, extent / 2)
    middle = rng.uniform(margin, extent - margin)
    start, end = middle - direction * span / 2, middle + direction * span / 2
    control = middle + np.array([-direction[1], direction[0]]) * span * rng.uniform(-bend, bend) * 2
    position = np.linspace(0.0, 1.0, max(8, int(span)))[:, None]
    points = (1 - position) ** 2 * start + 2 * position * (1 - position) * control + position**2 * end
    thickness = width / 2 * (0.4 + 0.6 * np.sin(np.pi * position[:, 0]))
    opacity = np.zeros(shape, dtype=np.float32)
    stroke(opacity, points, thickness)
    return opacity


def stroke(opacity: np.ndarray, points: np.ndarray, halves: np.ndarray) -> None:
    """Draw a line into ``opacity``, (H, W) float32, as discs one beside the other.

    Parameters
    ----------
    opacity : ndarray, (H, W) float32
        Changed in place; the larger value stays.
    points : ndarray, (n, 2)
        Rows and columns of the discs' centres, about a pixel apart; what lies outside is left out.
    halves : ndarray, (n,)
        Their radii in pixels.
    """
    import numpy as np

    for (row, column), half in zip(points, halves):
        reach = int(half) + 2
        top, left = max(0, int(row) - reach), max(0, int(column) - reach)
        window = opacity[top : max(0, int(row) + reach + 1), left : max(0, int(column) + reach + 1)]
        rows, columns = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
        distance = np.hypot(rows - row, columns - column)
        np.maximum(window, np.clip(half - distance + 0.5, 0.0, 1.0), out=window, casting="same_kind")
