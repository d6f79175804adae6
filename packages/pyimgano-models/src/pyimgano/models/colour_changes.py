"""Small random changes of an image's colours: brightness, contrast or saturation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["change_colours", "luma"]

KINDS = ("brightness", "contrast", "saturation")
LUMA = (0.2989, 0.587, 0.114)


def luma(pixels: Tensor) -> Tensor:
    """Return the grey values (ITU-R BT.601) of (…, 3) RGB pixels: (…, 1)."""
    return (pixels * pixels.new_tensor(LUMA)).sum(dim=-1, keepdim=True)


def change_colours(pixels: Tensor, chance: np.random.Generator, *, least: float = 0.8, greatest: float = 1.2) -> Tensor:
    """Return images, each with its brightness, its contrast or its saturation (one by lot) multiplied.

    Parameters
    ----------
    pixels : Tensor, (N, H, W, 3) float32
        RGB, 0 … 255.
    chance : Generator
        Two draws per image: which of the three, and the factor.
    least, greatest : float
        Range of the factor, which is uniform.

    Returns
    -------
    Tensor, (N, H, W, 3) float32
        0 … 255; not rounded.

    Notes
    -----
    With a factor f: ``f · pixels + (1 − f) · other`` where ``other`` is black, the grey mean of the image, or its grey
    values; what ImageEnhance of Pillow and torchvision's ``adjust_…`` do, without their rounding.
    """
    changed = []
    for image in pixels:
        kind = KINDS[int(chance.integers(len(KINDS)))]
        factor = float(chance.uniform(least, greatest))
        blended = image * factor
        if kind == "contrast":
            blended += (1.0 - factor) * luma(image).mean()
        elif kind == "saturation":
            blended += (1.0 - factor) * luma(image)
        changed.append(blended.clamp_(0.0, 255.0))
    return torch.stack(changed)
