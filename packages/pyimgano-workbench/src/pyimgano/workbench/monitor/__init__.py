"""Drift: whether what is inspected now still looks like what the detector was calibrated on."""

from pyimgano.workbench.monitor.image_statistics import STATISTICS, image_statistics
from pyimgano.workbench.monitor.reference import Reference
from pyimgano.workbench.monitor.windows import DriftMonitor, DriftSettings, WindowReport

__all__ = ["STATISTICS", "DriftMonitor", "DriftSettings", "Reference", "WindowReport", "image_statistics"]
