"""The focal loss of two classes: what is already told apart hardly counts."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["focal_loss"]


def focal_loss(logits: Tensor, positive: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Return the focal loss of every element (Lin et al., ICCV 2017, equation 4).

    ``−(1 − p)^γ log p``, with ``p`` the probability that is given to the element's class. The classes weigh the same
    (α = 1).

    Parameters
    ----------
    logits : Tensor, float
        Of the positive class against the negative one: the difference of a softmax's two inputs, or a sigmoid's input.
    positive : Tensor, bool
        Which elements are positive; of the same shape.
    gamma : float
        How fast well-told elements lose their weight; 0 gives the cross-entropy.

    Returns
    -------
    Tensor
        Of the same shape, at least 0; finite, as is its gradient, for any finite logits.
    """
    against = logits.where(~positive, -logits)  # of the class that the element does not have
    return against.sigmoid() ** gamma * functional.softplus(against)
