"""Images and masks as training steps take them: shuffled, in batches, at one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.images import as_rgb8

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["InOrder", "Masks", "shuffled_batches", "stack_masks"]

Masks = Sequence[Optional[np.ndarray]]
"""Of each image, where it is defective, (H, W) bool; None for a good one."""


def shuffled_batches(images: ImageBatches, order: np.ndarray, batch_size: int) -> Iterator[list[np.ndarray]]:
    """Yield prepared images in an order, in batches of equal size to within one, read ahead by threads.

    A last batch of one or two images would disturb BatchNorm, so the images are spread; no batch is greater than
    ``batch_size``.

    Parameters
    ----------
    images : ImageBatches
    order : ndarray, (N,) int
        Places of the images to yield.
    batch_size : int
    """
    decoded = ImageBatches(
        InOrder(images.X, order), batch_size, prepare=images.prepare, workers=images.workers
    ).images()
    for part in np.array_split(order, -(-len(order) // batch_size)):
        yield list(islice(decoded, len(part)))


def stack_masks(masks: Masks, shape: tuple[int, int, int], device: str) -> Tensor:
    """Return (N, H, W) bool at the size that the network sees; a pixel is defective when its centre is.

    Parameters
    ----------
    masks : Masks
    shape : (int, int, int)
        (N, H, W).
    device : str
        Where the tensor goes.
    """
    import cv2
    import torch

    count, height, width = shape
    stacked = np.zeros((count, height, width), dtype=np.uint8)
    for place, mask in zip(stacked, masks):
        if mask is not None:
            place[...] = cv2.resize(
                np.asarray(mask, dtype=np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
            )
    return torch.from_numpy(stacked > 0).to(device)


class InOrder(Sequence[Any]):
    """Some of the images, in another order; an array that is no image is named by its place in the original."""

    def __init__(self, images: Sequence[Any], order: np.ndarray) -> None:
        self._images = images
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        place = int(self._order[index])
        return as_rgb8(self._images[place], where=f"image {place}")
