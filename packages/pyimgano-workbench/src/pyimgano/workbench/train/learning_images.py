"""The images of a training, in an order of each epoch's own, read ahead by threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.batching import read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import DatasetError
from pyimgano.core.seeding import generator
from pyimgano.workbench.defects.placing import Kind

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.augment.random_drifts import RandomDrifts

__all__ = ["LearningImages"]

Item = tuple["np.ndarray", Optional["np.ndarray"]]
"""An image and where it is defective; None where it is good."""


class LearningImages:
    """Good images, and what there is of defective ones.

    Parameters
    ----------
    good : sequence of Sample
        Good images.
    defective : sequence of Sample
        Labelled defective images with masks.
    seed : int
        Of the order and the synthetic defects.
    prepare : callable, optional
        Brings an image to the size that the model works at; run by the reading threads.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.
    synthetic_share : float
        Share of the good images that are given a synthetic defect each time they are seen; 0 for none.
    drifts : RandomDrifts, optional
        What every image gets each time it is seen, seeded by the epoch and its id; a mask goes with what moves.
        Defective images get them too, and synthetic defects lie below them: otherwise a drift would tell good from
        defective.
    kinds : sequence of Kind, optional
        Of the synthetic defects, see :func:`pyimgano.workbench.train.synthetic.add_defect`.

    Raises
    ------
    DatasetError
        When a defective image has no mask; it names the image.
    """

    def __init__(
        self,
        good: Sequence[Sample],
        defective: Sequence[Sample] = (),
        *,
        seed: int,
        prepare: Optional[Callable[[np.ndarray], np.ndarray]] = None,
        value_range: Optional[tuple[float, float]] = None,
        synthetic_share: float = 0.0,
        drifts: Optional[RandomDrifts] = None,
        kinds: Optional[Sequence[Kind]] = None,
    ) -> None:
        for sample in defective:
            if not sample.masks:
                raise DatasetError(
                    "a defective training image has no mask to learn from",
                    where=str(sample.source),
                    hint='bring its mask, or set recipe_params.defects = "none"',
                )
        self._samples = [*good, *defective]
        self.n_good, self.n_defective = len(good), len(defective)
        self._seed = seed
        self._prepare = prepare
        self._value_range = value_range
        self._share = synthetic_share
        self._drifts = drifts
        self._kinds = kinds

    def __len__(self) -> int:
        return len(self._samples)

    def epoch(self, epoch: int, seen: int, batch_size: int) -> Iterator[list[Item]]:
        """Yield the batches of an epoch behind its first ``seen`` images.

        Batches are of equal size to within one, and no greater than ``batch_size``: a last batch of one or two images
        would disturb BatchNorm. What a batch holds depends on the images left and the size only, so that an epoch can
        be entered anywhere.
        """
        order = generator(self._seed, "train", "order", epoch).permutation(len(self))[seen:]
        items = read_ahead(lambda place: self._load(epoch, int(order[place])), len(order), ahead=2 * batch_size)
        left = len(order)
        while left:
            size = -(-left // -(-left // batch_size))
            yield [next(items) for _ in range(size)]
            left -= size

    def _load(self, epoch: int, index: int) -> Item:
        image, mask = self._learned(epoch, index)
        if self._drifts is None:
            return image, mask
        drifted = self._drifts(image, generator(self._seed, "augment", epoch, self._samples[index].id), mask=mask)
        # What was moved out of the image leaves a good one behind.
        return drifted if drifted[1] is None or drifted[1].any() else (drifted[0], None)

    def _learned(self, epoch: int, index: int) -> Item:
        """Return an image before any drift, and where it is defective."""
        from pyimgano.datasets import load_image, load_mask
        from pyimgano.workbench.train.synthetic import add_defect

        sample = self._samples[index]
        image = load_image(sample, value_range=self._value_range)
        if index >= self.n_good:
            return image, load_mask(sample, (image.shape[0], image.shape[1]))
        if self._prepare is not None:
            image = self._prepare(image)
        if self._share:
            chance = generator(self._seed, "train", "defects", epoch, index)
            if chance.uniform() < self._share:
                donor = self._samples[int(chance.integers(self.n_good))]
                return add_defect(image, chance, donor=lambda: self._decoded(donor), kinds=self._kinds)
        return image, None

    def _decoded(self, sample: Sample) -> Any:
        from pyimgano.datasets import load_image

        return load_image(sample, value_range=self._value_range)
