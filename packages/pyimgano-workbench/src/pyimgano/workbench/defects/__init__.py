"""Synthesised defects: a changed image and the mask of what was changed.

They prove that a pipeline finds and places what is there; how good a model is, only real defects can tell. The kinds
are in :mod:`pyimgano.workbench.defects.kinds`; a listing comes by here for the specs and imports nothing else.
"""
