"""Calibration of a handful of good images, none of which can be spared."""

from __future__ import annotations

from typing import Any, Optional

from pyimgano.core.conformal import images_needed

__all__ = ["ALPHAS", "FEW_IMAGES", "MOST_LEFT_OUT", "few_images_calibration"]

ALPHAS = (0.05, 0.1, 0.2)
"""Tried in this order; the first that the good images support is taken."""

FEW_IMAGES = 10
"""So many good images, or fewer, are all fitted on: a hold-out would take half of them."""

MOST_LEFT_OUT = 50
"""Good images of which one at a time may be left out: each costs a fit of its own."""


def few_images_calibration(n: int) -> Optional[dict[str, Any]]:
    """Return the calibration of ``n`` good images that are all fitted on: keys of the section ``calibration``.

    Every image is scored by a model that was fitted on the others, and alpha is the least of :data:`ALPHAS` that so
    many scores support: 0.2 from 4 images on, 0.1 from 9 on, 0.05 from 19 on. None where even 0.2 is not supported.
    """
    for alpha in ALPHAS:
        if images_needed(alpha) <= n and n >= 2:
            return {"method": "cross-conformal", "params": {"folds": "jackknife"}, "alpha": alpha}
    return None
