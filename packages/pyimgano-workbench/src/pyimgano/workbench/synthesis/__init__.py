"""Datasets of synthesised defects: good images of a user's own, and the same kind of images with defects and masks."""

from __future__ import annotations

from pyimgano.workbench.synthesis.dataset import Synthesis, synthesise

__all__ = ["Synthesis", "synthesise"]
