"""How much overkill to expect of a threshold, given the held-out images that it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CONFIDENCE", "OverkillInterval", "order_statistic_interval"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class OverkillInterval:
    """Where the overkill of new good images will lie.

    Attributes
    ----------
    bounds : (float, float) or None
        Two-sided; None where nothing is known.
    confidence : float or None
        Probability, over the choice of the held-out images, that it does.
    method : str or None
        The law that the bounds are from.
    reason : str or None
        Why there are no bounds.
    """

    bounds: Optional[tuple[float, float]]
    confidence: Optional[float] = None
    method: Optional[str] = None
    reason: Optional[str] = None

    @classmethod
    def unknown(cls, reason: str) -> OverkillInterval:
        """Return the interval of which nothing is known."""
        return cls(None, reason=reason)


def order_statistic_interval(values: np.ndarray, rank: int, *, confidence: float = CONFIDENCE) -> OverkillInterval:
    """Return the interval of the overkill of a threshold just above the ``rank``-th of n held-out scores.

    Given the held-out images, the overkill of a continuous score follows Beta(n + 1 − k, k), whatever the score's own
    law. Ties can only lower it: where some stand at the threshold, the lower bound is that of the share that is left
    above them.

    Parameters
    ----------
    values : ndarray, (n,) float64
        Sorted.
    rank : int
        k, from 1; fixed by n and alpha, not chosen by looking at the scores.

    References
    ----------
    V. Vovk, *Conditional validity of inductive conformal predictors*, 2012; A. N. Angelopoulos, S. Bates, *A gentle
    introduction to conformal prediction and distribution-free uncertainty quantification*, 2021.
    """
    import numpy as np
    from scipy.stats import beta

    n, tail = int(values.size), (1.0 - confidence) / 2.0
    below = int(np.searchsorted(values, values[rank - 1], side="right"))
    if below == rank:
        low = float(beta.ppf(tail, n + 1 - rank, rank))
    else:
        low = 0.0 if below == n else float(beta.ppf(tail, n - below, below + 1))
    return OverkillInterval((low, float(beta.ppf(1.0 - tail, n + 1 - rank, rank))), confidence, "beta")
