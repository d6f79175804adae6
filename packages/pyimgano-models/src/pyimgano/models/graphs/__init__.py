"""Fitted detectors as torch modules of standard operators, from which they are exported as graphs.

These modules import torch at the top: the detectors import them late (see :mod:`pyimgano.models.graph_export`).
"""
