"""How images are prepared for a CLIP model: OpenCLIP's own resampling and normalisation, of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require

__all__ = ["check_device", "check_sides", "resize_image", "resolve_device"]


def check_sides(input_size: Optional[Union[int, Sequence[int]]]) -> Optional[tuple[int, int]]:
    """Return ``input_size`` as (height, width), or None for the model's own.

    Raises
    ------
    ParameterError
        When it is neither a side nor two, each at least 16.
    """
    if input_size is None:
        return None
    sides = [input_size, input_size] if isinstance(input_size, int) else list(input_size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side >= 16 for side in sides)
    require(
        whole and len(sides) == 2, "input_size", input_size, "a side, or [height, width], each at least 16; or null"
    )
    return sides[0], sides[1]


def resize_image(image: np.ndarray, size: tuple[int, int], interpolation: str = "bicubic") -> np.ndarray:
    """Resample one image as OpenCLIP's transform does; one that has the size is returned as it is.

    Nothing is cut off, where OpenCLIP cuts out the middle: an anomaly map covers the whole image.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
        RGB.
    size : (int, int)
        (height, width).
    interpolation : {"bicubic", "bilinear"}

    Returns
    -------
    ndarray, (height, width, 3) uint8
    """
    if image.shape[:2] == tuple(size):
        return image
    from PIL import Image

    method = Image.Resampling.BILINEAR if interpolation == "bilinear" else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(image).resize((size[1], size[0]), method))


def check_device(device: Any) -> None:
    """Check the name of a device; imports nothing."""
    known = isinstance(device, str) and (
        device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdecimal())
    )
    require(known, "device", device, "auto, cpu, cuda, cuda:<n>")


def resolve_device(device: str) -> str:
    """Return the torch device that the option ``device`` means here.

    Raises
    ------
    ParameterError
        When it is unknown, or torch sees no CUDA device.
    """
    check_device(device)
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ParameterError(f"device = {device!r}, and torch sees no CUDA device", allowed="auto, cpu")
    return device
