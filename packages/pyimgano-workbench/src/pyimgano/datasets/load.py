"""Decoding of one sample's image and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ImageError
from pyimgano.core.images import read_image, read_mask

if TYPE_CHECKING:
    import numpy as np

__all__ = ["load_image", "load_mask"]


def load_image(sample: Sample, *, value_range: Optional[tuple[float, float]] = None) -> np.ndarray:
    """Return a sample's image as RGB uint8 (H, W, 3).

    Parameters
    ----------
    sample : Sample
        What to decode.
    value_range : (float, float), optional
        The values that become 0 and 255, see :func:`pyimgano.core.images.to_rgb8`.

    Raises
    ------
    ImageError
        When the file cannot be read, or its values have no stated meaning.
    """
    return read_image(sample.source, value_range=value_range)


def load_mask(sample: Sample, shape: tuple[int, int]) -> Optional[np.ndarray]:
    """Return what is defective in a sample's image.

    Parameters
    ----------
    sample : Sample
        Its masks are united; their non-zero pixels count, whatever the value.
    shape : (int, int)
        (H, W) of its decoded image.

    Returns
    -------
    ndarray or None
        (H, W) bool; all False for a good image. None when it is not known: the image has no label, or it is defective
        and has no mask. The dataset's notes say how many of those there are.

    Raises
    ------
    ImageError
        When a mask cannot be read, or has another size than its image; it names both.
    """
    import numpy as np

    if not sample.masks:
        return np.zeros(shape, dtype=bool) if sample.label == 0 else None
    union = np.zeros(shape, dtype=bool)
    for path in sample.masks:
        mask = read_mask(path)
        if mask.shape != tuple(shape):
            raise ImageError(
                f"the mask has {mask.shape[1]}×{mask.shape[0]} pixels, its image {sample.source} {shape[1]}×{shape[0]}",
                where=str(path),
                allowed="a mask of the image's own size",
            )
        union |= mask
    return union
