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

__all__ = ["conformal_p_values", "held_out_quantile", "images_needed", "split_conformal"]


def _checked(scores: np.ndarray, alpha: float) -> np.ndarray:
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
    import numpy as np

    values = _checked(scores, alpha)
    k = math.ceil((values.size + 1) * (1.0 - alpha) - 1e-9)
    if k > values.size:
        raise CalibrationError(
            f"alpha = {alpha:g} needs at least {images_needed(alpha)} held-out good images, there are {values.size}",
            allowed=f"alpha ≥ {1.0 / (values.size + 1):.4g} with {values.size} images",
            hint="hold out more good images, raise alpha, or use the method 'quantile', which gives no guarantee",
        )
    return float(np.nextafter(values[k - 1], np.inf))


def held_out_quantile(scores: np.ndarray, alpha: float) -> float:
    """Return the threshold that rejects at most a fraction ``alpha`` of the held-out images themselves.

    It lies just above the k-th smallest score with k = ⌈n(1 − α)⌉. Any n will do; a new image has no guarantee.

    Raises
    ------
    CalibrationError
        When there is no score, one is not finite, or ``alpha`` is outside (0, 1).
    """
    import numpy as np

    values = _checked(scores, alpha)
    k = max(1, math.ceil(values.size * (1.0 - alpha) - 1e-9))
    return float(np.nextafter(values[k - 1], np.inf))


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
