"""What the section ``adapt`` of a run config means: which drifts the good images of a fit or a training get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from pyimgano.workbench.augment.random_drifts import DEFAULT_DRIFTS, DriftChoice, RandomDrifts

if TYPE_CHECKING:
    from pyimgano.workbench.config import AdaptConfig

__all__ = ["adapt_facts", "drifts_of"]


def _choices(adapt: AdaptConfig) -> tuple[DriftChoice, ...]:
    if adapt.augment is None:
        return DEFAULT_DRIFTS
    return tuple(DriftChoice(entry.name, entry.params, entry.severity, entry.probability) for entry in adapt.augment)


def drifts_of(adapt: AdaptConfig) -> Optional[RandomDrifts]:
    """Return the drifts that good images get while a model learns; None where it learns from them as they are."""
    return RandomDrifts(_choices(adapt)) if adapt.drift_augment else None


def adapt_facts(adapt: AdaptConfig, *, copies: bool) -> dict[str, Any]:
    """Return what a category's report says of it: nothing where there are no drifts.

    Parameters
    ----------
    copies : bool
        Whether the model was given drifted copies of whole images, see
        :class:`~pyimgano.workbench.augment.copies.DriftedCopies`.

    Returns
    -------
    dict
        ``"adapt"``: ``drifts``, in their order, and ``copies`` of each good image, 0 where there were none.
    """
    if not adapt.drift_augment:
        return {}
    drifts = [choice.to_json() for choice in _choices(adapt)]
    return {"adapt": {"drifts": drifts, "copies": adapt.copies if copies else 0}}
