"""Synthesised defects: a changed image and the mask of what was changed.

They prove that a pipeline finds and places what is there; how good a model is, only real defects can tell. The kinds
are in :mod:`~pyimgano.workbench.defects.lines`, :mod:`~pyimgano.workbench.defects.spots`,
:mod:`~pyimgano.workbench.defects.relief`, :mod:`~pyimgano.workbench.defects.pieces`,
:mod:`~pyimgano.workbench.defects.edges` and :mod:`~pyimgano.workbench.defects.bank`; what all of them keep is in
:mod:`~pyimgano.workbench.defects.defect`; :mod:`~pyimgano.workbench.defects.placing` puts several on one image. A
listing comes by here for the specs and imports nothing else.
"""
