"""What a listing knows of the preprocessing."""

from pyimgano.core.specs import ComponentSpec

__all__ = ["PREPROCESS"]

_PLACE = "pyimgano.workbench.preprocess"

PREPROCESS = (
    ComponentSpec(
        "align",
        "Moves every image onto a template: phase correlation, then ECC",
        f"{_PLACE}.alignment:Align",
        tags=("geometry", "learns"),
        paper="Evangelidis & Psarakis, Parametric Image Alignment Using ECC Maximization, TPAMI 2008",
        kind="preprocess",
    ),
    ComponentSpec(
        "clahe",
        "Evens out local contrast (contrast-limited adaptive histogram equalisation)",
        f"{_PLACE}.contrast:Clahe",
        tags=("light",),
        paper="Zuiderveld, Contrast Limited Adaptive Histogram Equalization, 1994",
        kind="preprocess",
    ),
    ComponentSpec(
        "flat-field",
        "Divides by how the light falls on the good images",
        f"{_PLACE}.light:FlatField",
        tags=("learns", "light"),
        kind="preprocess",
    ),
    ComponentSpec(
        "homomorphic",
        "Takes slow changes of light out of each image by itself",
        f"{_PLACE}.contrast:Homomorphic",
        tags=("light",),
        paper="Oppenheim, Schafer & Stockham, Nonlinear Filtering of Multiplied and Convolved Signals, 1968",
        kind="preprocess",
    ),
    ComponentSpec(
        "white-balance",
        "Brings the mean colour of each image to that of the good ones, or to grey",
        f"{_PLACE}.light:WhiteBalance",
        tags=("learns", "light"),
        kind="preprocess",
    ),
)
