"""Evaluation on raw scores and raw maps: every number with what it was counted on, and null with a reason."""

from pyimgano.workbench.evaluate.decisions import clopper_pearson, confusion, decision_metrics
from pyimgano.workbench.evaluate.images import image_metrics
from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.pixels import pixel_metrics, undefined_pixel_metrics
from pyimgano.workbench.evaluate.ranking import Ranking
from pyimgano.workbench.evaluate.spool import MapSpool

__all__ = [
    "MapSpool",
    "Metric",
    "Ranking",
    "clopper_pearson",
    "confusion",
    "decision_metrics",
    "image_metrics",
    "pixel_metrics",
    "undefined_pixel_metrics",
]
