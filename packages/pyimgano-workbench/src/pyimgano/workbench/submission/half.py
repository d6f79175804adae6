"""Anomaly maps in 16 bits, without losing what they are for: the order of their values, and the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.workbench.render.overlay import MapScale

if TYPE_CHECKING:
    import numpy as np

__all__ = ["half_map"]


def half_map(anomaly_map: np.ndarray, *, low: float, threshold: float) -> tuple[np.ndarray, int]:
    """Return a map as float16: (value - threshold) / (threshold - low).

    What good images usually show becomes -1, the threshold 0: where the most defects are told from good pixels, 16 bits
    are finest. A higher value never gets a lower number, so curves over all thresholds stay what they are up to ties.

    Parameters
    ----------
    anomaly_map : ndarray, (H, W) float32
        Raw values, finite.
    low, threshold : float
        Of the calibration. Where they meet, a tiny contrast is assumed, as for overlays.

    Returns
    -------
    half : ndarray, (H, W) float16
        Finite; ≥ 0 exactly where the map is ≥ ``threshold``.
    clipped : int
        Pixels beyond what 16 bits hold (±65504), which share its end.
    """
    import numpy as np

    scale = MapScale.between(low, threshold)
    standard = (np.asarray(anomaly_map, dtype=np.float64) - scale.threshold) / (scale.threshold - scale.low)
    limits = np.finfo(np.float16)
    beyond = int(np.count_nonzero(np.abs(standard) > limits.max))
    half = np.clip(standard, limits.min, limits.max).astype(np.float16)
    # Just below the threshold rounds to zero, which would be at the threshold.
    half[(standard < 0) & (half == 0)] = -limits.smallest_subnormal
    return half, beyond
