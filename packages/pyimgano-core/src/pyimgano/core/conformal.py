"""Thresholds from the scores of held-out good images, with a bound on the false rejects that they will cause.

A detector says *defective* where score **≥** threshold. A threshold that shall reject only what is *above* the k-th
smallest held-out score is therefore the next representable number above it.

References
----------
V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World*, 2005 (split conformal prediction);
R. Laxhammar, G. Falkman, *Conformal prediction for distribution-independent anomaly detection in streaming vessel
data*, 2010.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyimgano.core.errors import CalibrationError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "conformal_p_values",
    "conformal_rank",
    "held_out_quantile",
    "images_needed",
    "just_above",
    "quantile_rank",
    "sorted_scores",
    "split_conformal",
]


def sorted_scores(scores: np.ndarray, alpha: float) -> np.ndarray:
    """Return the scores of held-out good images as sorted float64.

    Raises
    ------
    CalibrationError
        When there is none, one is not finite, or ``alpha`` is outside (0, 1).
    """
    import numpy as np

    values = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if not 0.0 < alpha < 1.0:
        raise CalibrationError(f"alpha = {alpha}", allowed="a number between 0 and 1, e.g. 0.01 for 1 % overkill")
    if values.size == 0:
        raise CalibrationError("no held-out good images to calibrate on")
    if not np.isfinite(values).all():
        raise CalibrationError("a held-out score is not finite")
    return values


def images_needed(alpha: float) -> int:
    """Return the smallest number of held-out good images for which split conformal calibration at ``alpha`` exists."""
    needed = math.ceil(1.0 / alpha) - 1
    # 1/alpha carries a rounding error: 1/0.1 - 1 must be 9, not 10.
    while needed > 1 and math.ceil((needed - 1 + 1) * (1.0 - alpha) - 1e-9) <= needed - 1:
        needed -= 1
    return max(1, needed)


def conformal_rank(n: int, alpha: float) -> int:
    """Return k = ⌈(n + 1)(1 − α)⌉: the rank, of n held-out scores, that split conformal calibration keeps.

    Raises
    ------
    CalibrationError
        When n is too small for ``alpha``; it says how many images are needed.
    """
    k = math.ceil((n + 1) * (1.0 - alpha) - 1e-9)
    if k > n:
        raise CalibrationError(
            f"alpha = {alpha:g} needs at least {images_needed(alpha)} held-out good images, there are {n}",
            allowed=f"alpha ≥ {1.0 / (n + 1):.4g} with {n} images",
            hint="hold out more good images, raise alpha, or use the method 'quantile', which gives no guarantee",
        )
    return max(1, k)


def quantile_rank(n: int, alpha: float) -> int:
    """Return k = ⌈n(1 − α)⌉, at least 1: the rank of the held-out quantile."""
    return max(1, math.ceil(n * (1.0 - alpha) - 1e-9))


def just_above(values: np.ndarray, rank: int) -> float:
    """Return the smallest threshold that accepts the ``rank``-th (from 1) of the sorted ``values``."""
    import numpy as np

    return float(np.nextafter(values[rank - 1], np.inf))


def split_conformal(scores: np.ndarray, alpha: float) -> float:
    """Return the threshold that rejects a new good image with probability at most ``alpha``.

    The bound holds for any score distribution when the held-out images and the new one are exchangeable: the threshold
    lies just above the k-th smallest of n scores with k = ⌈(n + 1)(1 − α)⌉.

    Parameters
    ----------
    scores : ndarray, (n,)
        Scores of good images that the detector has not been fitted on.
    alpha : float
        Overkill to allow, in (0, 1).

    Raises
    ------
    CalibrationError
        When n is too small for ``alpha``; it says how many images are needed.
    """
    values = sorted_scores(scores, alpha)
    return just_above(values, conformal_rank(values.size, alpha))


def held_out_quantile(scores: np.ndarray, alpha: float) -> float:
    """Return the threshold that rejects at most a fraction ``alpha`` of the held-out images themselves.

    It lies just above the k-th smallest score with k = ⌈n(1 − α)⌉. Any n will do; a new image has no guarantee.

    Raises
    ------
    CalibrationError
        When there is no score, one is not finite, or ``alpha`` is outside (0, 1).
    """
    values = sorted_scores(scores, alpha)
    return just_above(values, quantile_rank(values.size, alpha))


def conformal_p_values(scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return the conformal p-value of each score: (1 + #{held-out ≥ score}) / (n + 1).

    Parameters
    ----------
    scores : ndarray, (m,)
        Scores to judge.
    held_out : ndarray, (n,)
        Scores of the held-out good images.

    Returns
    -------
    ndarray, (m,) float64
        In (0, 1]; small means unlike a good image.
    """
    import numpy as np

    reference = np.sort(np.asarray(held_out, dtype=np.float64).ravel())
    values = np.asarray(scores, dtype=np.float64).ravel()
    at_least = reference.size - np.searchsorted(reference, values, side="left")
    return np.asarray((1.0 + at_least) / (reference.size + 1.0))
