"""What a memory bank of patch features will need: PatchCore's and its kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import numpy as np

from pyimgano.core.estimates import ResourceEstimate
from pyimgano.models.backbone_detector import BackboneDetector
from pyimgano.models.coreset import coreset_size
from pyimgano.models.estimating import bank_query_seconds, coreset_seconds, extract_sample

__all__ = ["estimate_memory"]

BOUNDS = 24
"""Bytes that the coreset's search holds of each point (:func:`pyimgano.models.coreset.greedy_coreset`)."""


def estimate_memory(
    detector: BackboneDetector,
    describe: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    sample: Sequence[Any],
    n_images: int,
    *,
    ratio: float,
    projection: Optional[int] = None,
    most: float = 1.0,
    row_bytes: int = 0,
    before: Optional[Callable[[np.ndarray], float]] = None,
) -> ResourceEstimate:
    """Return what a fit needs that gathers patch features and keeps a coreset of them.

    Parameters
    ----------
    detector : BackboneDetector
        A fresh copy, which may be thrown away.
    describe : callable
        From the extractor's layers to patch features, (n, h, w, D) float32.
    sample, n_images
        See :class:`pyimgano.core.estimates.Estimable`.
    ratio : float
        Share of the patches that the bank keeps.
    projection : int, optional
        Dimensions that the coreset is chosen in.
    most : float
        Share of the patches that are left to choose from.
    row_bytes : int
        Bytes that are kept of each row beside its features.
    before : callable, optional
        From the sample's (n, P, D) patches to the seconds that a step before the coreset takes on all images.

    Returns
    -------
    ResourceEstimate
    """
    extractor = detector._make_extractor()
    extraction, patches = extract_sample(detector, sample, lambda batch: describe(extractor.extract(batch)))
    dimension = patches.shape[-1]
    per_image = patches.shape[1] * patches.shape[2]
    features = patches.reshape(-1, dimension)
    total = n_images * per_image
    rows = min(coreset_size(total, ratio), int(np.ceil(most * total)))
    narrow = dimension if projection is None else min(projection, dimension)
    reduced = np.ascontiguousarray(features[:, :narrow])
    choosing = coreset_seconds(reduced, total, rows / total)
    earlier = before(patches.reshape(len(patches), per_image, dimension)) if before is not None else 0.0
    state = rows * (4 * dimension + row_bytes)
    projected = 4 * total * narrow if narrow < dimension else 0
    return ResourceEstimate(
        state_bytes=state,
        # All features, the search's bounds and copies of the chosen points; the bank, and its copy for queries.
        working_bytes=4 * total * dimension + projected + BOUNDS * total + 4 * rows * (narrow + 1) + 2 * state,
        fit_seconds=n_images * extraction + earlier + choosing,
        image_seconds=extraction + bank_query_seconds(features, per_image, rows),
        patches=total,
        bank=(rows, dimension),
        assumptions=(
            "Extraction is linear in the number of images.",
            "The coreset's time grows with the number of patches to the power of 0.85.",
        ),
    )
