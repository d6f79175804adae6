"""Good images and drifted copies of them, made when they are asked for and never kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.images import as_rgb8
from pyimgano.core.seeding import generator
from pyimgano.workbench.augment.random_drifts import RandomDrifts

__all__ = ["DriftedCopies"]


class DriftedCopies(Sequence[Any]):
    """Every image as it is, then the first copy of each, then the second …: a sequence that decodes and drifts lazily.

    A copy depends on the seed, its number and the id of its image only: neither on the order of the images nor on which
    others there are. Every copy has at least one drift.

    Parameters
    ----------
    samples : sequence of Sample
        Good images.
    drifts : RandomDrifts
        What copies get.
    copies : int
        Copies of each image.
    seed : int
        Of the lots.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.
    advance : callable, optional
        Told ``1`` for every image that was made.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        drifts: RandomDrifts,
        *,
        copies: int,
        seed: int,
        value_range: Optional[tuple[float, float]] = None,
        advance: Optional[Callable[[int], None]] = None,
    ) -> None:
        self._samples = samples
        self._drifts = drifts
        self._seed = seed
        self._value_range = value_range
        self._advance = advance
        self._places = range(len(samples) * (1 + copies))

    def __len__(self) -> int:
        """Return the number of images, copies included."""
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        """Return an image, (H, W, 3) uint8, or a part of the sequence for a slice.

        Raises
        ------
        ImageError
            When the image cannot be read; it names the file.
        """
        place = self._places[index]
        if isinstance(place, range):
            part = object.__new__(type(self))
            part.__dict__.update(self.__dict__, _places=place)
            return part
        number, at = divmod(place, len(self._samples))
        sample = self._samples[at]
        image = as_rgb8(sample.source, value_range=self._value_range, where=sample.id)
        if number > 0:
            chance = generator(self._seed, "augment", "copy", number, sample.id)
            image, _ = self._drifts(image, chance, always=True)
        if self._advance is not None:
            self._advance(1)
        return image
