"""anomalib as a backend: its image models trained through its ``Engine``, and its checkpoints as detectors.

Scores and maps are raw: anomalib's normalisation, which clamps, and its thresholds are left out, and pyimgano
calibrates and measures. Nothing here imports anomalib before a model is made (see :mod:`pyimgano.anomalib.index`).
"""

from __future__ import annotations

__all__: list[str] = []
