"""How thresholds are found, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["calibration_words"]


def calibration_words(calibration: Mapping[str, Any]) -> str:
    """Return one sentence on a calibration.

    Parameters
    ----------
    calibration : mapping
        The keys of :class:`~pyimgano.workbench.config.CalibrationConfig`; what is left out has its default.
    """
    from pyimgano.workbench.config import CalibrationConfig

    wanted = CalibrationConfig(**dict(calibration))
    target = f"{100 * wanted.alpha:g} % of good images may be rejected"
    if wanted.method == "cross-conformal":
        folds = wanted.params.get("folds", 5)
        cut = "one image at a time left out" if folds == "jackknife" else f"in {folds} folds"
        where = f"every good image scored by a model that has not seen it ({cut}), and all fitted on"
    elif isinstance(wanted.holdout, int):
        where = f"{wanted.holdout} good images held out, or the dataset's validation images"
    else:
        where = f"{100 * wanted.holdout:g} % of the good images held out, or the dataset's validation images"
    kind = wanted.method
    if kind == "mean-sigma" and wanted.params.get("robust"):
        kind += " by median and median absolute deviation"
    review = "" if wanted.review_alpha is None else f"; up to {100 * wanted.review_alpha:g} % may go to a person"
    return f"{kind}: {target}{review}; {where}"
