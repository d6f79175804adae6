"""Perlin's gradient noise, and the random regions that thresholding it gives: where synthetic defects are put."""

from __future__ import annotations

import numpy as np

from pyimgano.models.rotation import rotate

__all__ = ["perlin_mask", "perlin_noise"]


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
    if min(*shape, *periods) < 1:
        raise ValueError(f"shape = {shape} and periods = {periods} must be at least 1")
    angles = chance.uniform(0.0, 2.0 * np.pi, (periods[0] + 1, periods[1] + 1))
    # The noise is linear in the vectors, and its weights are products of one of the row and one of the column:
    # with w a point's weight and w·d the weight times the offset, noise = (w·d) G_rows wᵀ + w G_columns (w·d)ᵀ.
    weight, offset = _axis(shape[0], periods[0])
    weight_across, offset_across = _axis(shape[1], periods[1])
    noise = (offset @ np.sin(angles)) @ weight_across.T + (weight @ np.cos(angles)) @ offset_across.T
    return (np.sqrt(2.0) * noise).astype(np.float32)


def _axis(length: int, periods: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each lattice point's weight at each pixel of an axis, and the weight times the offset to the point."""
    position = np.arange(length) * (periods / length)
    offsets = position[:, None] - np.arange(periods + 1)
    t = np.clip(1.0 - np.abs(offsets), 0.0, 1.0)
    weight = t * t * t * (t * (6.0 * t - 15.0) + 10.0)
    return weight, weight * offsets


def perlin_mask(
    shape: tuple[int, int],
    chance: np.random.Generator,
    *,
    exponents: tuple[int, int] = (0, 5),
    threshold: float = 0.5,
    rotation: float = 0.0,
    stretch: bool = False,
) -> np.ndarray:
    """Return the random regions where Perlin noise of a random scale exceeds a threshold.

    Parameters
    ----------
    shape : (int, int)
        (H, W).
    chance : Generator
        Draws the noise's periods, its vectors, and the angle.
    exponents : (int, int)
        The periods of either axis are ``2ᵏ``, ``k`` uniform between these two, inclusively; no more than half the
        axis' pixels, below which the noise would be sampled at its lattice points alone.
    threshold : float
        Of noise in [-1, 1].
    rotation : float
        The noise is turned about its centre by up to so many degrees either way (bilinear, 0 from outside); 0: not.
    stretch : bool
        Whether noise that nowhere exceeds the threshold is stretched to [-1, 1] before it is turned. Otherwise the mask
        may be empty.

    Returns
    -------
    ndarray, (H, W) bool
    """
    low, high = exponents
    finest = [max(0, min(high, (side // 2).bit_length() - 1)) for side in shape]
    rows, columns = (2 ** int(chance.integers(min(low, top), top, endpoint=True)) for top in finest)
    noise = perlin_noise(shape, (rows, columns), chance)
    if stretch and not bool((noise > threshold).any()):
        lowest, span = float(noise.min()), float(np.ptp(noise))
        noise = (noise - lowest) * (2.0 / span) - 1.0 if span > 0.0 else noise
    if rotation:
        noise = rotate(noise, float(chance.uniform(-rotation, rotation)))
    regions: np.ndarray = noise > threshold
    return regions
