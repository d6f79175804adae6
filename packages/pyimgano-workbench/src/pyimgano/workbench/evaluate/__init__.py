"""Evaluation on raw scores and raw maps: every number with what it was counted on, and null with a reason."""

from pyimgano.workbench.evaluate.breakdown import by_defect, by_group
from pyimgano.workbench.evaluate.curves import pr_points, pro_points, roc_points, thin
from pyimgano.workbench.evaluate.decisions import confusion, decision_metrics
from pyimgano.workbench.evaluate.delong import AurocDifference, delong_difference, delong_variance
from pyimgano.workbench.evaluate.images import image_curves, image_metrics
from pyimgano.workbench.evaluate.intervals import auroc_interval, clopper_pearson, proportion
from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.pixels import PixelResults, pixel_metrics, undefined_pixel_metrics
from pyimgano.workbench.evaluate.ranking import Ranking
from pyimgano.workbench.evaluate.spool import MapSpool
from pyimgano.workbench.evaluate.spro import SproResults, spro_metrics

__all__ = [
    "AurocDifference",
    "MapSpool",
    "Metric",
    "PixelResults",
    "Ranking",
    "SproResults",
    "auroc_interval",
    "by_defect",
    "by_group",
    "clopper_pearson",
    "confusion",
    "decision_metrics",
    "delong_difference",
    "delong_variance",
    "image_curves",
    "image_metrics",
    "pixel_metrics",
    "pr_points",
    "pro_points",
    "proportion",
    "roc_points",
    "thin",
    "spro_metrics",
    "undefined_pixel_metrics",
]
