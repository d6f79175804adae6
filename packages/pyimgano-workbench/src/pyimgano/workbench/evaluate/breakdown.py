"""The same images told apart: by kind of defect, and by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.workbench.evaluate.decisions import confusion, rates_of
from pyimgano.workbench.evaluate.images import auroc_metric
from pyimgano.workbench.evaluate.inputs import scores_and_labels

if TYPE_CHECKING:
    import numpy as np

__all__ = ["by_defect", "by_group"]


def by_defect(
    scores: np.ndarray,
    labels: np.ndarray,
    defects: Sequence[Optional[str]],
    threshold: float,
    *,
    review_threshold: Optional[float] = None,
    decisions: Optional[Sequence[str]] = None,
) -> dict[str, dict[str, Any]]:
    """Return the results of each kind of defect, sorted by name.

    Parameters
    ----------
    scores : ndarray, (N,)
        Image scores, finite.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    defects : sequence of str or None, (N,)
        Kind of defect; a defective image without one is left out.
    threshold, review_threshold, decisions
        As for :func:`~pyimgano.workbench.evaluate.decision_metrics`.

    Returns
    -------
    dict
        Kind → ``n`` images, ``image_auroc`` against all good images, ``recall`` and ``escape``.
    """
    import numpy as np

    values, defective = scores_and_labels(scores, labels)
    good = values[~defective]
    good.sort()
    results: dict[str, dict[str, Any]] = {}
    for name, members in _members(defects):
        places = members[defective[members]]
        own = values[places]
        if own.size == 0:
            continue
        counts = confusion(
            own,
            np.ones(own.size, dtype=np.bool_),
            threshold,
            review_threshold=review_threshold,
            decisions=_of(decisions, places),
        )
        rates = rates_of(counts)
        results[name] = {
            "n": int(own.size),
            "image_auroc": auroc_metric(own, good),
            "recall": rates["recall"],
            "escape": rates["escape"],
        }
    return results


def by_group(
    scores: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[Optional[str]],
    threshold: float,
    *,
    review_threshold: Optional[float] = None,
    decisions: Optional[Sequence[str]] = None,
) -> dict[str, dict[str, Any]]:
    """Return the results of each group of images (a part, a lot, a camera), sorted by name.

    Parameters
    ----------
    scores, labels, threshold, review_threshold, decisions
        As for :func:`by_defect`.
    groups : sequence of str or None, (N,)
        An image without a group is left out.

    Returns
    -------
    dict
        Group → ``n_good``, ``n_defective``, ``image_auroc`` within the group, ``overkill`` and ``escape``.
    """
    values, defective = scores_and_labels(scores, labels)
    results: dict[str, dict[str, Any]] = {}
    for name, members in _members(groups):
        own, flags = values[members], defective[members]
        counts = confusion(own, flags, threshold, review_threshold=review_threshold, decisions=_of(decisions, members))
        rates = rates_of(counts)
        results[name] = {
            "n_good": int((~flags).sum()),
            "n_defective": int(flags.sum()),
            "image_auroc": auroc_metric(own[flags], own[~flags]),
            "overkill": rates["overkill"],
            "escape": rates["escape"],
        }
    return results


def _of(decisions: Optional[Sequence[str]], places: np.ndarray) -> Optional[list[str]]:
    return None if decisions is None else [decisions[place] for place in places]


def _members(names: Sequence[Optional[str]]) -> list[tuple[str, np.ndarray]]:
    """Return name → positions, sorted by name, without those that have none."""
    import numpy as np

    known = sorted({name for name in names if name is not None})
    number = {name: index for index, name in enumerate(known)}
    codes = np.array([-1 if name is None else number[name] for name in names], dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(known) + 1))
    return [(name, order[ends[index] : ends[index + 1]]) for index, name in enumerate(known)]
