"""What a listing knows of the synthesised defects."""

from pyimgano.core.specs import ComponentSpec

__all__ = ["DEFECTS"]

_KINDS = "pyimgano.workbench.defects.kinds"

DEFECTS = (
    ComponentSpec(
        "foreign",
        "A piece of another image, pasted in with soft edges",
        f"{_KINDS}:Foreign",
        tags=("synthetic",),
        paper="C.-L. Li et al., CutPaste, CVPR 2021, arXiv 2104.04015 (the idea of pasting a piece)",
        kind="defects",
    ),
    ComponentSpec(
        "scratch", "A thin curved line, lighter or darker than the surface", f"{_KINDS}:Scratch", kind="defects"
    ),
    ComponentSpec(
        "stain", "A spot of one colour, through which the texture shows weakly", f"{_KINDS}:Stain", kind="defects"
    ),
)
