"""Synthesised defects: a changed image and the mask of what was changed.

They prove that a pipeline finds and places what is there; how good a model is, only real defects can tell.
"""

from pyimgano.workbench.defects.kinds import Defect, Foreign, Scratch, Stain

__all__ = ["Defect", "Foreign", "Scratch", "Stain"]
