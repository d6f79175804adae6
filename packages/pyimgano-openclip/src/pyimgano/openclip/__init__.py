"""CLIP models of OpenCLIP: detectors that words describe, and image towers as backbones.

Importing it imports neither numpy, torch nor open_clip.
"""

from __future__ import annotations

__all__: list[str] = []
