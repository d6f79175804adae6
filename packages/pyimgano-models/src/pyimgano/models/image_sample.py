"""Models that keep images bound their number: a sample, drawn by a seed, of those that they are fitted on."""

from __future__ import annotations

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.seeding import generator
from pyimgano.models.training_images import InOrder

__all__ = ["sample_images", "some_images"]


def sample_images(count: int, most: int, seed: int) -> np.ndarray:
    """Return the places of at most ``most`` of ``count`` images, ascending: all of them, or a draw without repeats."""
    if count <= most:
        return np.arange(count)
    return np.sort(generator(seed, "image-sample").choice(count, size=most, replace=False))


def some_images(images: ImageBatches, places: np.ndarray) -> ImageBatches:
    """Return the images at some places, prepared and read ahead as ``images`` are; the others are not read."""
    return ImageBatches(InOrder(images.X, places), images.batch_size, prepare=images.prepare, workers=images.workers)
