"""A share of some images, taken by lot: no group, and no two copies of one image, on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

from pyimgano.core.contracts import Sample
from pyimgano.datasets.folds import linked_units
from pyimgano.datasets.hashing import ContentHashes
from pyimgano.datasets.splits import rank_key

__all__ = ["take_share"]


def take_share(
    samples: Sequence[Sample],
    share: Union[int, float],
    *,
    seed: int,
    part: str,
    hashes: Optional[ContentHashes] = None,
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Take some images by lot, in whole units: what belongs to one group, or is the same image, stays together.

    Parameters
    ----------
    samples : sequence of Sample
        What to take from.
    share : float or int
        A fraction in (0, 1), of which at least one image is taken; or a number of images (at least: units stay whole).
    seed : int
        The same seed takes the same images, whatever their order.
    part : str
        What they are taken for: another purpose takes others.
    hashes : ContentHashes, optional
        What is known already.

    Returns
    -------
    taken, left : tuple of Sample
        Each sorted by id; ``left`` may be empty.
    """
    wanted = share if isinstance(share, int) else max(1, round(len(samples) * share))
    units = linked_units(samples, hashes or ContentHashes())
    chosen: set[str] = set()
    for unit in sorted(units, key=lambda unit: (rank_key(seed, part, unit[0].id), unit[0].id)):
        if len(chosen) >= wanted:
            break
        chosen.update(sample.id for sample in unit)
    items = sorted(samples, key=lambda sample: sample.id)
    return tuple(one for one in items if one.id in chosen), tuple(one for one in items if one.id not in chosen)
