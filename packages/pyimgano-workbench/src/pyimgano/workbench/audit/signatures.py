"""One pass over all images of a dataset: what each file is, and a small signature that copies share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional

from pyimgano.core.batching import default_workers, read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ImageError
from pyimgano.core.files import sha256_bytes
from pyimgano.core.images import decode_image, read_bytes, to_rgb8
from pyimgano.datasets.headers import describe_kind

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SIDE", "ImageFacts", "read_signatures", "signature"]

SIDE = 32
"""Pixels of a signature's side: small enough that noise, resampling and JPEG average away."""


@dataclass(frozen=True)
class ImageFacts:
    """What one file turned out to be.

    Attributes
    ----------
    digest : str or None
        SHA-256 of the file; None when it cannot be read.
    size : (int, int) or None
        (width, height); None when it cannot be decoded.
    colours, depth : str
        See :func:`pyimgano.datasets.headers.describe_kind`.
    low, high : float
        Least and greatest value of the file.
    error : str or None
        Why it cannot be used.
    """

    digest: Optional[str] = None
    size: Optional[tuple[int, int]] = None
    colours: str = ""
    depth: str = ""
    low: float = 0.0
    high: float = 0.0
    error: Optional[str] = None


def signature(image: np.ndarray) -> np.ndarray:
    """Return what copies of an image share, whatever their size, compression, brightness and contrast.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8

    Returns
    -------
    ndarray, (SIDE * SIDE,) float32
        The grey image at SIDE × SIDE (each pixel the mean of its area), with mean 0 and length 1; all 0 of an image
        without contrast.
    """
    import cv2
    import numpy as np

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    small -= small.mean()
    length = float(np.sqrt(small @ small))
    # Rounding alone leaves some 1e-5 of an image of one colour.
    return (small / length if length > 1e-2 else np.zeros_like(small)).astype(np.float32)


def read_signatures(
    samples: Sequence[Sample],
    *,
    value_range: Optional[tuple[float, float]] = None,
    advance: Optional[Callable[[int], None]] = None,
    workers: Optional[int] = None,
) -> tuple[list[ImageFacts], np.ndarray]:
    """Decode every image once, by several threads.

    Parameters
    ----------
    samples : sequence of Sample
        The images.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.
    advance : callable, optional
        ``advance(1)`` is called after each image.
    workers : int, optional
        Reading threads; twice as many images are in memory at a time.

    Returns
    -------
    facts : list of ImageFacts
        An image that cannot be read is one with an error, never an exception.
    signatures : ndarray, (N, SIDE * SIDE) float16
        All 0 where there is none. 2 kB an image.
    """
    import numpy as np

    facts: list[ImageFacts] = []
    signatures = np.zeros((len(samples), SIDE * SIDE), dtype=np.float16)
    threads = workers or default_workers()

    def examine(index: int) -> tuple[ImageFacts, Optional[np.ndarray]]:
        return _examine(samples[index], value_range)

    for index, (fact, found) in enumerate(read_ahead(examine, len(samples), ahead=2 * threads, workers=threads)):
        facts.append(fact)
        if found is not None:
            signatures[index] = found
        if advance is not None:
            advance(1)
    return facts, signatures


def _examine(sample: Sample, value_range: Optional[tuple[float, float]]) -> tuple[ImageFacts, Optional[np.ndarray]]:
    digest = None
    try:
        data = read_bytes(sample.source)
        digest = sha256_bytes(data)
        image = decode_image(data, where=str(sample.source))
        rgb = to_rgb8(image, value_range=value_range, where=str(sample.source))
    except ImageError as error:
        return ImageFacts(digest, error=error.message), None
    colours, depth = describe_kind(data, image)
    height, width = image.shape[:2]
    return ImageFacts(digest, (width, height), colours, depth, float(image.min()), float(image.max())), signature(rgb)
