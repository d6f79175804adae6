"""What a listing knows of the rules on maps."""

from pyimgano.core.specs import ComponentSpec

__all__ = ["MAP_RULES"]

MAP_RULES = (
    ComponentSpec(
        "normalise",
        "Maps in units of what good images show, by percentiles or median and MAD, overall or pixel by pixel; learned",
        "pyimgano.workbench.postprocess.normalise:Normalise",
        tags=("map", "learned"),
        kind="postprocess",
    ),
    ComponentSpec(
        "smooth",
        "Gaussian smoothing, sigma in pixels of the source image",
        "pyimgano.workbench.postprocess.smooth:Smooth",
        tags=("map",),
        kind="postprocess",
    ),
)
