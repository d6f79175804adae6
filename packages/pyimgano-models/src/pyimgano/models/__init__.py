"""Detectors and feature extractors.

This package's own names are those of :mod:`pyimgano.core.creation`: what they create may come from any distribution
that registers models. Importing it imports neither numpy nor torch.
"""

from __future__ import annotations

from pyimgano.core.creation import create_model, list_models, load_model, model_info

__all__ = ["create_model", "list_models", "load_model", "model_info"]
