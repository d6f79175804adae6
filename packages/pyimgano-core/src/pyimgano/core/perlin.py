"""Perlin's gradient noise: where synthetic defects of models and of the workbench are put."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["perlin_noise"]


def perlin_noise(shape: tuple[int, int], periods: tuple[int, int], chance: np.random.Generator) -> np.ndarray:
    """Return gradient noise on a lattice of random unit vectors (Perlin, Improving Noise, SIGGRAPH 2002).

    A pixel's value is the dot product of each surrounding lattice point's vector with the offset to that point,
    interpolated by ``6 t⁵ - 15 t⁴ + 10 t³`` and multiplied by √2.

    Parameters
    ----------
    shape : (int, int)
        (H, W); they need not be multiples of the periods. Pixel ``(i, j)`` lies at ``(i periods[0] / H,
        j periods[1] / W)`` of the lattice.
    periods : (int, int)
        Cells of the lattice along the height and along the width, at least 1; the more, the finer the noise.
    chance : Generator
        Draws the ``(periods[0] + 1)(periods[1] + 1)`` directions, whatever the shape: the same draws give the same
        noise at another resolution.

    Returns
    -------
    ndarray, (H, W) float32
        In [-1, 1], 0 at the lattice points.

    Raises
    ------
    ValueError
        When a side or a period is below 1.
    """
    import numpy as np

    if min(*shape, *periods) < 1:
        raise ValueError(f"shape = {shape} and periods = {periods} must be at least 1")
    angles = chance.uniform(0.0, 2.0 * np.pi, (periods[0] + 1, periods[1] + 1))
    # The noise is linear in the vectors, and its weights are products of one of the row and one of the column:
    # with w a point's weight and w·d the weight times the offset, noise = (w·d) G_rows wᵀ + w G_columns (w·d)ᵀ.
    weight, offset = _axis(shape[0], periods[0])
    weight_across, offset_across = _axis(shape[1], periods[1])
    noise = (offset @ np.sin(angles)) @ weight_across.T + (weight @ np.cos(angles)) @ offset_across.T
    return np.asarray(np.sqrt(2.0) * noise, dtype=np.float32)


def _axis(length: int, periods: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each lattice point's weight at each pixel of an axis, and the weight times the offset to the point."""
    import numpy as np

    position = np.arange(length) * (periods / length)
    offsets = position[:, None] - np.arange(periods + 1)
    t = np.clip(1.0 - np.abs(offsets), 0.0, 1.0)
    weight = t * t * t * (t * (6.0 * t - 15.0) + 10.0)
    return weight, weight * offsets
