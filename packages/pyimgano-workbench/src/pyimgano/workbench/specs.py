"""What the workbench brings for listings. Imports nothing but specs."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec
from pyimgano.workbench.defects.specs import DEFECTS

__all__ = ["COMPONENTS"]

THRESHOLDS = (
    ComponentSpec(
        "conformal",
        "Split conformal: a new good image is rejected with probability at most alpha",
        "pyimgano.workbench.calibrate.methods:SplitConformal",
        tags=("guarantee",),
        paper="Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005",
        kind="threshold",
    ),
    ComponentSpec(
        "quantile",
        "Quantile of the held-out good scores; takes any number of images and guarantees nothing for new ones",
        "pyimgano.workbench.calibrate.methods:HeldOutQuantile",
        kind="threshold",
    ),
)

COMPONENTS: tuple[ComponentSpec, ...] = (*DEFECTS, *THRESHOLDS)
