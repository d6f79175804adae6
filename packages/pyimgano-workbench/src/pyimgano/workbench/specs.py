"""What the workbench brings for listings. Imports nothing but specs."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec, Requirement
from pyimgano.workbench.augment.specs import AUGMENT
from pyimgano.workbench.defects.specs import DEFECTS
from pyimgano.workbench.postprocess.specs import MAP_RULES
from pyimgano.workbench.preprocess.specs import PREPROCESS
from pyimgano.workbench.tracking.specs import SINKS

__all__ = ["COMPONENTS"]

THRESHOLDS = (
    ComponentSpec(
        "conformal",
        "Split conformal: a new good image is rejected with probability at most alpha",
        "pyimgano.workbench.calibrate.ranks:SplitConformal",
        tags=("guarantee",),
        paper="Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005",
        kind="threshold",
    ),
    ComponentSpec(
        "cost-ratio",
        "Cheapest threshold for labelled good and defective images, given the cost of an escape and the defect rate",
        "pyimgano.workbench.calibrate.labelled:CostRatio",
        tags=("defects",),
        kind="threshold",
    ),
    ComponentSpec(
        "cross-conformal",
        "For few images: each is scored by a model fitted without its fold, and none is held out from the kept one",
        "pyimgano.workbench.calibrate.cross:CrossConformal",
        tags=("few-images",),
        paper="Vovk: Cross-conformal predictors, 2015",
        kind="threshold",
    ),
    ComponentSpec(
        "gpd",
        "Peaks over threshold: a generalised Pareto tail of the good scores, for an alpha below 1/n",
        "pyimgano.workbench.calibrate.tails:ParetoTail",
        tags=("extrapolates",),
        paper="Coles: An Introduction to Statistical Modeling of Extreme Values, 2001",
        kind="threshold",
    ),
    ComponentSpec(
        "mean-sigma",
        "Mean + k sigma (or median and MAD), k given or from alpha for normally distributed scores",
        "pyimgano.workbench.calibrate.normal:MeanSigma",
        kind="threshold",
    ),
    ComponentSpec(
        "pythresh",
        "One of PyThresh's (and so PyOD's) rules: where among unlabelled scores the outliers begin",
        "pyimgano.workbench.calibrate.pythresh_rules:PyThresh",
        requires=(Requirement("pythresh", "pythresh"),),
        tags=("unlabelled",),
        kind="threshold",
    ),
    ComponentSpec(
        "quantile",
        "Quantile of the held-out good scores; takes any number of images and guarantees nothing for new ones",
        "pyimgano.workbench.calibrate.ranks:HeldOutQuantile",
        kind="threshold",
    ),
    ComponentSpec(
        "target-overkill",
        "Lowest threshold whose overkill is at most alpha with a given confidence (Clopper-Pearson)",
        "pyimgano.workbench.calibrate.ranks:TargetOverkill",
        tags=("guarantee",),
        paper="Wilks: Determination of sample sizes for setting tolerance limits, 1941",
        kind="threshold",
    ),
    ComponentSpec(
        "target-recall",
        "Highest threshold that finds a given share of labelled defects with a given confidence",
        "pyimgano.workbench.calibrate.labelled:TargetRecall",
        tags=("defects", "guarantee"),
        kind="threshold",
    ),
)

COMPONENTS: tuple[ComponentSpec, ...] = (*AUGMENT, *DEFECTS, *PREPROCESS, *MAP_RULES, *SINKS, *THRESHOLDS)
