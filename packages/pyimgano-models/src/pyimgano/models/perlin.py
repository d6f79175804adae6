"""The random regions that thresholding Perlin noise gives: where synthetic defects are put."""

from __future__ import annotations

import numpy as np

from pyimgano.core.perlin import perlin_noise
from pyimgano.models.rotation import rotate

__all__ = ["perlin_mask"]


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
