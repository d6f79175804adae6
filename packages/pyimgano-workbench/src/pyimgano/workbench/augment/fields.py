"""Random shapes and fields over an image. NumPy draws them, so that every platform draws the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["across", "side_of", "sign", "smooth_curve", "smooth_field", "spot"]


def side_of(shape: tuple[int, ...]) -> int:
    """Return the shorter side of (H, W, …) in pixels, which lengths are fractions of."""
    return min(shape[0], shape[1])


def sign(rng: np.random.Generator) -> float:
    """Return 1.0 or -1.0 by lot."""
    return 1.0 if rng.uniform() < 0.5 else -1.0


def across(shape: tuple[int, ...], angle: float) -> np.ndarray:
    """Return how far each pixel lies in a direction.

    Parameters
    ----------
    shape : (int, int, …)
        (H, W) of the image.
    angle : float
        Direction in radians; 0 is to the right, π/2 down.

    Returns
    -------
    ndarray, (H, W) float32
        From -0.5 at one end of the image to 0.5 at the other.
    """
    import numpy as np

    height, width = shape[0], shape[1]
    along, down = np.cos(angle), np.sin(angle)
    extent = max(abs(along) * (width - 1) + abs(down) * (height - 1), 1e-6)
    columns = (np.arange(width, dtype=np.float32) - (width - 1) / 2) * np.float32(along / extent)
    rows = (np.arange(height, dtype=np.float32) - (height - 1) / 2) * np.float32(down / extent)
    return np.asarray(rows[:, None] + columns, dtype=np.float32)


def smooth_field(shape: tuple[int, ...], rng: np.random.Generator, *, cells: int) -> np.ndarray:
    """Return (H, W) float32 noise of standard deviation about 1 that is smooth over 1/``cells`` of the shorter side.

    It is drawn on a coarse grid and enlarged, so that it costs as much for an image of any size.
    """
    import cv2
    import numpy as np

    height, width = shape[0], shape[1]
    unit = max(side_of(shape), 1) / cells
    # At most a few hundred nodes along a thin image.
    rows, columns = (min(256, max(2, round(side / unit) + 1)) for side in (height, width))
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    field: np.ndarray = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return field.reshape(height, width)


def smooth_curve(length: int, rng: np.random.Generator, *, period: float) -> np.ndarray:
    """Return (length,) float32: smooth noise with mean 0, a greatest value of 1, and waves of about ``period``."""
    import numpy as np

    nodes = max(4, int(length / max(period, 1.0)) + 3)
    places = np.linspace(0.0, nodes - 1.0, max(length, 2))
    values = rng.standard_normal(nodes)
    left = np.minimum(places.astype(np.intp), nodes - 2)
    part = places - left
    part = part * part * (3.0 - 2.0 * part)
    curve = values[left] * (1.0 - part) + values[left + 1] * part
    curve -= curve.mean()
    return np.asarray(curve / max(float(np.abs(curve).max()), 1e-6), dtype=np.float32)[:length]


def spot(
    shape: tuple[int, ...], centre: tuple[float, float], radii: tuple[float, float], angle: float, *, core: float
) -> np.ndarray:
    """Return the strength of one elliptic spot.

    Parameters
    ----------
    shape : (int, int, …)
        (H, W) of the image.
    centre, radii : (float, float)
        (row, column) and half axes in pixels.
    angle : float
        Of the first axis, in radians.
    core : float
        Part of the radius, below 1, within which the strength is 1; it falls smoothly to 0 at the radius.

    Returns
    -------
    ndarray, (H, W) float32
        In [0, 1].
    """
    import numpy as np

    rows = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    columns = np.arange(shape[1], dtype=np.float32) - np.float32(centre[1])
    along = (columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))) / np.float32(max(radii[0], 0.5))
    beside = (rows * np.float32(np.cos(angle)) - columns * np.float32(np.sin(angle))) / np.float32(max(radii[1], 0.5))
    distance = np.sqrt(along * along + beside * beside)
    ramp = np.clip((1.0 - distance) / np.float32(1.0 - core), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), dtype=np.float32)
