"""What a listing knows of the synthesised defects."""

from __future__ import annotations

from typing import Optional

from pyimgano.core.specs import ComponentSpec

__all__ = ["DEFECTS"]

_CUTPASTE = "C.-L. Li et al., CutPaste, CVPR 2021, arXiv 2104.04015"


def _defect(name: str, place: str, summary: str, *, paper: Optional[str] = None, tag: str = "drawn") -> ComponentSpec:
    factory = f"pyimgano.workbench.defects.{place}"
    return ComponentSpec(name, summary, factory, tags=("synthetic", tag), paper=paper, kind="defects")


DEFECTS = (
    _defect("crack", "lines:Crack", "A jagged dark line with branches"),
    _defect(
        "cutpaste", "pieces:CutPaste", "A rectangle of the same image at another place", paper=_CUTPASTE, tag="pasted"
    ),
    _defect(
        "cutpaste-scar",
        "pieces:CutPasteScar",
        "A long thin turned piece of the same image at another place",
        paper=_CUTPASTE,
        tag="pasted",
    ),
    _defect(
        "defect-bank",
        "bank:DefectBank",
        "A real defect from a folder of crops and masks, pasted in with Poisson blending",
        paper="P. Pérez et al., Poisson Image Editing, SIGGRAPH 2003",
        tag="pasted",
    ),
    _defect("dent", "relief:Dent", "A hollow, seen by the light on its flanks"),
    _defect("edge-wear", "edges:EdgeWear", "Chips along an edge, where bare material shows"),
    _defect("fibre", "lines:Fibre", "A curled hair or thread on the surface"),
    _defect(
        "foreign",
        "pieces:Foreign",
        "A piece of another image, pasted in with soft edges",
        paper=f"{_CUTPASTE} (the idea of pasting a piece)",
        tag="pasted",
    ),
    _defect("missing-part", "edges:MissingPart", "A piece is gone, and the background or a plain ground shows"),
    _defect("oil", "spots:Oil", "A drop of oil: darker and smoother, with a rim and a reflection"),
    _defect(
        "perlin-texture",
        "pieces:PerlinTexture",
        "Regions of Perlin noise in which another texture shines through",
        paper="V. Zavrtanik et al., DRAEM, ICCV 2021, section 3.2",
        tag="pasted",
    ),
    _defect("pit", "relief:Pit", "Small deep holes with a dark inside and a bright rim"),
    _defect("rust", "spots:Rust", "A frayed patch of corrosion in several browns"),
    _defect("scratch", "lines:Scratch", "A thin curved line, lighter or darker than the surface"),
    _defect("stain", "spots:Stain", "A spot of one colour, through which the texture shows weakly"),
    _defect("tape", "pieces:Tape", "A strip of adhesive tape with straight sides and torn ends"),
)
