"""Random changes of a texture's colours and direction, of which three make a new texture of it.

The set is that of DRÆM (Zavrtanik et al., ICCV 2021, section 3.2) with the ranges of its code. Every change takes and
gives (H, W, 3) RGB uint8 and leaves its argument as it was.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

from pyimgano.models.rotation import rotate

__all__ = ["AUGMENTATIONS", "augment_texture"]

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_LEVELS = np.arange(256)


def augment_texture(image: np.ndarray, chance: np.random.Generator, *, changes: int = 3) -> np.ndarray:
    """Return a texture after some of the :data:`AUGMENTATIONS`, different ones, in random order.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
        RGB.
    chance : Generator
        Draws the changes and their strengths.
    changes : int
        How many; at most ten.

    Returns
    -------
    ndarray, (H, W, 3) uint8
    """
    for index in chance.choice(len(AUGMENTATIONS), changes, replace=False):
        image = AUGMENTATIONS[int(index)](image, chance)
    return image


def gamma(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Raise each channel to a power of its own, 0.5 … 2."""
    powers = chance.uniform(0.5, 2.0, 3)
    return _map_levels(image, 255.0 * (_LEVELS / 255.0) ** powers[:, None])


def brightness(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Multiply the value (of hue, saturation, value) by 0.8 … 1.2 and add −30 … 30."""
    factor, summand = chance.uniform(0.8, 1.2), chance.uniform(-30.0, 30.0)
    return _map_hsv(image, [_LEVELS, _LEVELS, factor * _LEVELS + summand])


def sharpness(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Smooth the image or add the reverse: its difference to a smoothed one is multiplied by 0 … 2."""
    import cv2

    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5.0
    smooth = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    factor = chance.uniform(0.0, 2.0)
    changed: np.ndarray = cv2.addWeighted(image, factor, smooth, 1.0 - factor, 0.0)
    return changed


def hue_and_saturation(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Turn the hue by up to 71° either way and add −50 … 50 to the saturation, of 255."""
    turn, summand = chance.uniform(-50.0, 50.0, 2)
    # OpenCV counts a hue in units of two degrees, of which there are 180.
    return _map_hsv(image, [(_LEVELS + round(turn * 180.0 / 255.0)) % 180, _LEVELS + summand, _LEVELS])


def solarize(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Invert, every other time, what is as bright as a threshold of 32 … 128 or brighter."""
    applied, threshold = chance.random() < 0.5, chance.integers(32, 129)
    return _map_levels(image, np.where(_LEVELS >= threshold, 255 - _LEVELS, _LEVELS)) if applied else image


def posterize(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Keep the 1 … 8 highest bits."""
    return _map_levels(image, _LEVELS & (0xFF << (8 - int(chance.integers(1, 9)))) & 0xFF)


def invert(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return the negative."""
    return 255 - image


def autocontrast(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Stretch each channel to 0 … 255, with 0 … 20 percent of its pixels cut at either end."""
    cut = chance.uniform(0.0, 0.2)
    tables = np.empty((3, 256))
    for channel, table in enumerate(tables):
        share = np.cumsum(np.bincount(image[..., channel].ravel(), minlength=256)) / image[..., 0].size
        low, high = (int(level) for level in np.searchsorted(share, [max(cut, 1e-9), 1.0 - cut - 1e-9]))
        table[:] = (_LEVELS - low) * (255.0 / (high - low)) if high > low else _LEVELS
    return _map_levels(image, tables)


def equalize(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Spread the levels of each channel evenly."""
    import cv2

    channels = [cv2.equalizeHist(np.ascontiguousarray(image[..., channel])) for channel in range(3)]
    return np.stack(channels, axis=-1)


def turn(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Turn by up to 45° either way; black comes in from outside."""
    return rotate(image, float(chance.uniform(-45.0, 45.0)))


AUGMENTATIONS: tuple[Change, ...] = (
    gamma,
    brightness,
    sharpness,
    hue_and_saturation,
    solarize,
    posterize,
    invert,
    autocontrast,
    equalize,
    turn,
)
"""What :func:`augment_texture` draws from."""


def _map_levels(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Give each channel's levels new ones: (256,) for all channels, or (3, 256); rounded, and cut to 0 … 255."""
    import cv2

    table = np.broadcast_to(np.clip(np.rint(levels), 0, 255).astype(np.uint8), (3, 256))
    changed: np.ndarray = cv2.LUT(image, np.ascontiguousarray(table.T)[None])
    return changed


def _map_hsv(image: np.ndarray, levels: list[np.ndarray]) -> np.ndarray:
    import cv2

    changed: np.ndarray = cv2.cvtColor(
        _map_levels(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.stack(levels)), cv2.COLOR_HSV2RGB
    )
    return changed
