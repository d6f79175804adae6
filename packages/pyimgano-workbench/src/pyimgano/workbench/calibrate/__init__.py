"""Thresholds from good images that the model has not seen, with a card that says what they are worth."""

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
