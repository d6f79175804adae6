"""Random outlines as small windows of opacity. NumPy only, so that every platform draws the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from pyimgano.core.perlin import perlin_noise
from pyimgano.workbench.defects.shapes import stroke

if TYPE_CHECKING:
    import numpy as np

__all__ = ["bar", "drawn_line", "fractal_noise", "ragged_spot", "spot", "wandering_line"]

HARMONICS = 7
"""Of a spot's outline: more of them make it finer, not rougher."""


def spot(
    radius: float,
    rng: np.random.Generator,
    *,
    roughness: float = 0.25,
    edge: float = 2.0,
    stretch: float = 1.4,
) -> np.ndarray:
    """Return the opacity of an irregular round spot in the middle of a window that just holds it.

    Parameters
    ----------
    radius : float
        In pixels; at least 1.2 are drawn, since smaller ones could fall between the pixels.
    rng : Generator
        Source of chance.
    roughness : float
        How far the outline strays from an ellipse, as a fraction of the radius. 0: an ellipse.
    edge : float
        Width of the soft edge in pixels.
    stretch : float
        Largest elongation; its axes then are ``radius * stretch`` and ``radius / stretch``.

    Returns
    -------
    ndarray, (h, w) float32
        In [0, 1], both sides odd.
    """
    import numpy as np

    radius = max(1.2, radius)
    stretched = float(rng.uniform(1.0, stretch))
    turn = float(rng.uniform(0.0, np.pi))
    order = np.arange(2, 2 + HARMONICS)
    waves = rng.standard_normal(HARMONICS) / order
    phases = rng.uniform(0.0, 2.0 * np.pi, HARMONICS)
    half = int(np.ceil((radius * (1.0 + 1.5 * roughness) + edge / 2.0) * stretched)) + 1
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    along = (columns * np.cos(turn) + rows * np.sin(turn)) / stretched
    across = (rows * np.cos(turn) - columns * np.sin(turn)) * stretched
    # The outline is smooth in the angle: a table of it takes a tenth of the time of its cosines at every pixel.
    turns = np.linspace(-np.pi, np.pi, 1025)
    strays = sum(wave * np.cos(k * turns + phase) for k, wave, phase in zip(order, waves, phases))
    outline = radius * (1.0 + roughness * np.clip(strays, -1.5, 1.5))
    reach = np.interp(np.arctan2(across, along), turns, outline)
    opacity = np.clip((reach - np.hypot(along, across)) / edge + 0.5, 0.0, 1.0)
    return np.asarray(opacity, dtype=np.float32)


def fractal_noise(shape: tuple[int, int], rng: np.random.Generator, *, period: int = 3, octaves: int = 4) -> np.ndarray:
    """Return (h, w) float32 of mean 0 and standard deviation 1: Perlin noise, each octave finer and half as strong.

    ``period`` is the number of cells of the first octave along each side.
    """
    import numpy as np

    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        cells = [min(period * 2**octave, max(1, side // 2)) for side in shape]
        total += perlin_noise(shape, (cells[0], cells[1]), rng) / 2.0**octave
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), dtype=np.float32)


def ragged_spot(radius: float, rng: np.random.Generator, *, fray: float = 0.35, period: int = 3) -> np.ndarray:
    """Return the opacity of a spot with frayed borders, holes and crumbs around it, as corrosion has.

    Parameters
    ----------
    radius : float
        In pixels.
    rng : Generator
        Source of chance.
    fray : float
        How far noise moves the border, as a fraction of the radius.
    period : int
        Cells of the noise's first octave across the window.
    """
    import numpy as np

    radius = max(1.2, radius)
    half = int(np.ceil(radius * (1.0 + 2.0 * fray))) + 1
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    distance = np.hypot(rows, columns) / radius
    field = 1.0 - distance + fray * np.clip(fractal_noise(distance.shape, rng, period=period), -2.0, 2.0)
    edge = max(0.08, 1.5 / radius)
    return np.asarray(np.clip(field / edge + 0.5, 0.0, 1.0), dtype=np.float32)


def bar(length: float, width: float, angle: float, *, edge: float = 1.0, tear: float = 0.0) -> np.ndarray:
    """Return the opacity of a turned rectangle in the middle of a window.

    Parameters
    ----------
    length, width : float
        In pixels; at least 1.5 are drawn.
    angle : float
        In radians; 0: along the columns.
    edge : float
        Width of the soft edge in pixels.
    tear : float
        Depth of the teeth that a torn-off end has, in pixels.
    """
    import numpy as np

    length, width = max(1.5, length), max(1.5, width)
    half_rows = int(np.ceil((abs(np.sin(angle)) * length + abs(np.cos(angle)) * width) / 2.0 + edge)) + 1
    half_columns = int(np.ceil((abs(np.cos(angle)) * length + abs(np.sin(angle)) * width) / 2.0 + edge)) + 1
    rows, columns = np.mgrid[-half_rows : half_rows + 1, -half_columns : half_columns + 1].astype(np.float32)
    along = np.abs(columns * np.cos(angle) + rows * np.sin(angle))
    across = rows * np.cos(angle) - columns * np.sin(angle)
    tooth = tear * 2.0 * np.abs((across / max(2.0 * tear, 1.0)) % 1.0 - 0.5) if tear else 0.0
    short = np.minimum(length / 2.0 - tooth - along, width / 2.0 - np.abs(across))
    return np.asarray(np.clip(short / edge + 0.5, 0.0, 1.0), dtype=np.float32)


def wandering_line(
    length: float,
    rng: np.random.Generator,
    *,
    kink: float,
    memory: float,
    start: Optional[float] = None,
    jagged: bool = False,
) -> np.ndarray:
    """Return the points of a line whose direction changes at random, about a pixel apart.

    Parameters
    ----------
    length : float
        Along the line, in pixels.
    rng : Generator
        Source of chance.
    kink : float
        Standard deviation of the direction's noise, in radians.
    memory : float
        Pixels over which the direction keeps its noise.
    start : float, optional
        Direction about which it wanders, in radians; 0 along the columns. Default: drawn.
    jagged : bool
        Whether the line is straight between kinks, of different lengths, rather than curled.

    Returns
    -------
    ndarray, (n, 2) float64
        Rows and columns; the first point is 0, 0.
    """
    import numpy as np

    count = max(3, int(length))
    if start is None:
        start = float(rng.uniform(0.0, 2.0 * np.pi))
    knots = max(2, int(np.ceil(count / memory)) + 1)
    if jagged:
        corners = np.sort(rng.uniform(0.0, count, knots - 1))
        noise = (rng.standard_normal(knots) * kink)[np.searchsorted(corners, np.arange(count))]
    else:
        noise = np.interp(np.linspace(0.0, knots - 1.0, count), np.arange(knots), rng.standard_normal(knots) * kink)
    direction = start + noise
    steps = np.stack([np.sin(direction), np.cos(direction)], axis=1)
    points: np.ndarray = np.cumsum(steps, axis=0) - steps[0]
    return points


def drawn_line(points: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the opacity of a line in a window of its own, and the point that its corner lies at.

    Parameters
    ----------
    points : ndarray, (n, 2)
        Rows and columns in pixels.
    halves : ndarray, (n,)
        Half the width at each point, in pixels.
    """
    import numpy as np

    margin = float(halves.max()) + 2.0
    low = np.floor(points.min(axis=0) - margin).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    opacity = np.zeros(tuple(high - low), dtype=np.float32)
    stroke(opacity, points - low, halves)
    return opacity, (int(low[0]), int(low[1]))
