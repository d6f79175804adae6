"""Epochs of labelled training: the defective images, mirrored, and as many good ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.images import as_rgb8
from pyimgano.core.seeding import generator

__all__ = ["MIRRORINGS", "Defects", "balanced_epoch"]

MIRRORINGS = ((1, 1), (-1, 1), (1, -1), (-1, -1))
"""Steps along rows and columns: as it is, upside down, left to right, turned by 180°."""


@dataclass(frozen=True)
class Defects:
    """Defective images to train on.

    Attributes
    ----------
    images : sequence of path-like or ndarray
    masks : sequence of (ndarray, (H, W) bool, or None)
        Where each is defective; None where nobody knows.
    places : sequence of int
        The images' places in what the user gave, for errors.
    """

    images: Sequence[Any]
    masks: Sequence[Optional[np.ndarray]]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.images)


def balanced_epoch(
    good: ImageBatches, defects: Defects, epoch: int, *, seed: int
) -> Iterator[tuple[list[np.ndarray], list[Optional[np.ndarray]]]]:
    """Yield batches of prepared images, shuffled, and their masks.

    Every defective image comes in each of :data:`MIRRORINGS`, with a mask; one that is without is given an empty one.
    As many good images come, the next of an endless series in which every one has come before any comes again.

    Parameters
    ----------
    good : ImageBatches
        Its batch size is not exceeded; batches are of equal size to within one.
    defects : Defects
    epoch : int
    seed : int
    """
    defective = len(MIRRORINGS) * len(defects)
    series = range(epoch * defective, (epoch + 1) * defective)
    rounds = {turn: _order(seed, "good", turn, len(good)) for turn in {place // len(good) for place in series}}
    entries = [(int(rounds[place // len(good)][place % len(good)]), None) for place in series]
    entries += [(index, step) for index in range(len(defects)) for step in MIRRORINGS]  # type: ignore[misc]
    order = _order(seed, "balanced", epoch, len(entries))
    shuffled = [entries[index] for index in order]
    decoded = ImageBatches(
        _Mixed(good.X, defects, shuffled), good.batch_size, prepare=good.prepare, workers=good.workers
    ).images()
    for part in np.array_split(np.arange(len(shuffled)), -(-len(shuffled) // good.batch_size)):
        yield _mirrored(list(islice(decoded, len(part))), [shuffled[index] for index in part], defects)


def _order(seed: int, name: str, number: int, count: int) -> np.ndarray:
    return generator(seed, "balanced-epochs", name, number).permutation(count)


def _mirrored(
    images: list[np.ndarray], entries: list[tuple[int, Optional[tuple[int, int]]]], defects: Defects
) -> tuple[list[np.ndarray], list[Optional[np.ndarray]]]:
    masks: list[Optional[np.ndarray]] = []
    for place, (image, (index, steps)) in enumerate(zip(images, entries)):
        if steps is None:
            masks.append(None)
            continue
        rows, columns = steps
        known = defects.masks[index]
        mask = np.zeros(image.shape[:2], dtype=bool) if known is None else np.asarray(known)
        masks.append(mask[::rows, ::columns])
        images[place] = np.ascontiguousarray(image[::rows, ::columns])
    return images, masks


class _Mixed(Sequence[Any]):
    """Good and defective images in the order of an epoch."""

    def __init__(
        self, good: Sequence[Any], defects: Defects, entries: Sequence[tuple[int, Optional[tuple[int, int]]]]
    ) -> None:
        self._good = good
        self._defects = defects
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: Any) -> Any:
        place, steps = self._entries[int(index)]
        if steps is None:
            return as_rgb8(self._good[place], where=f"good image {place}")
        return as_rgb8(self._defects.images[place], where=f"image {self._defects.places[place]}")
