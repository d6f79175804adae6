"""Colours and light of defects: what can be seen where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["apart", "directed_light", "is_grey", "luminance", "room_for_dark", "toned"]

WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue in the luminance (ITU-R BT.601)."""


def luminance(colour: np.ndarray) -> np.ndarray:
    """Return the luminance of colours, (..., 3) → (...)."""
    import numpy as np

    return np.asarray(np.asarray(colour, dtype=np.float32) @ np.array(WEIGHTS, dtype=np.float32))


def is_grey(area: np.ndarray) -> bool:
    """Tell whether an image has no colour, by some thousand of its pixels."""
    step = max(1, min(area.shape[:2]) // 64)
    seen = area[::step, ::step]
    return bool((seen[..., 0] == seen[..., 1]).all() and (seen[..., 1] == seen[..., 2]).all())


def toned(pixels: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Return (..., 3) pixels as the camera of ``area`` would show them: grey where that image is grey."""
    import numpy as np

    pixels = np.asarray(pixels, dtype=np.float32)
    return np.repeat(luminance(pixels)[..., None], 3, axis=-1) if is_grey(area) else pixels


def apart(colour: Sequence[float], place: float, least: float) -> np.ndarray:
    """Return a colour, brightened or darkened until its luminance is at least ``least`` levels from that of its place.

    It goes away from the place; where there is no room on that side of the grey levels, to the other side.
    """
    import numpy as np

    tint = np.asarray(colour, dtype=np.float32)
    have = float(luminance(tint))
    if abs(have - place) >= least:
        return tint
    sides = (place - least, place + least) if have <= place else (place + least, place - least)
    wanted = next((side for side in sides if 0.0 <= side <= 255.0), min(max(sides[0], 0.0), 255.0))
    if wanted <= have:
        return np.asarray(tint * (wanted / max(have, 1.0)), dtype=np.float32)
    return np.asarray(255.0 - (255.0 - tint) * ((255.0 - wanted) / max(255.0 - have, 1.0)), dtype=np.float32)


def room_for_dark(surface: np.ndarray, mask: np.ndarray, contrast: float) -> bool:
    """Tell whether a surface is bright enough where ``mask`` is to be darkened by most of ``contrast`` levels."""
    return float(surface[mask].mean()) >= 0.75 * contrast


def directed_light(height: np.ndarray, angle: float) -> np.ndarray:
    """Return how light from one side falls on a surface.

    Parameters
    ----------
    height : ndarray, (h, w)
        Of the surface, in pixels.
    angle : float
        Direction towards the light in the image's plane, in radians.

    Returns
    -------
    ndarray, (h, w) float32
        The slope towards the light, scaled to -1 … 1: above 0 faces it, below 0 lies in the shade.
    """
    import numpy as np

    if min(height.shape) < 2:
        return np.zeros(height.shape, dtype=np.float32)
    down, right = np.gradient(np.asarray(height, dtype=np.float32))
    slope = -(down * np.sin(angle) + right * np.cos(angle))
    return np.asarray(slope / max(float(np.abs(slope).max()), 1e-6), dtype=np.float32)
