"""Thresholds from held-out good images, with a card that says what they are worth."""

from pyimgano.workbench.calibrate.card import CalibrationCard, calibrate, require_images
from pyimgano.workbench.calibrate.methods import ThresholdMethod, create_method, method_names

__all__ = [
    "CalibrationCard",
    "ThresholdMethod",
    "calibrate",
    "create_method",
    "method_names",
    "require_images",
]
