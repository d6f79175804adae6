"""Thresholds from good images that the model has not seen, with a card that says what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.core.lazy import lazy_exports

if TYPE_CHECKING:
    from pyimgano.workbench.calibrate.calibration import PixelWay, calibrate
    from pyimgano.workbench.calibrate.card import CalibrationCard
    from pyimgano.workbench.calibrate.interval import OverkillInterval
    from pyimgano.workbench.calibrate.methods import (
        ThresholdMethod,
        create_method,
        folds_of,
        method_names,
        takes_defects,
        uses_alpha,
    )
    from pyimgano.workbench.calibrate.requirements import contradictions, require_defects, require_images

__all__ = [
    "CalibrationCard",
    "OverkillInterval",
    "PixelWay",
    "ThresholdMethod",
    "calibrate",
    "contradictions",
    "create_method",
    "folds_of",
    "method_names",
    "require_defects",
    "require_images",
    "takes_defects",
    "uses_alpha",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "CalibrationCard": "card",
        "OverkillInterval": "interval",
        "PixelWay": "calibration",
        "ThresholdMethod": "methods",
        "calibrate": "calibration",
        "contradictions": "requirements",
        "create_method": "methods",
        "folds_of": "methods",
        "method_names": "methods",
        "require_defects": "requirements",
        "require_images": "requirements",
        "takes_defects": "methods",
        "uses_alpha": "methods",
    },
)
