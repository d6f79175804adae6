"""Experiment trackers (components of the kind ``sink``), which are told of a run when it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.core.lazy import lazy_exports

if TYPE_CHECKING:
    from pyimgano.workbench.tracking.telling import tell_sinks

__all__ = ["tell_sinks"]

__getattr__ = lazy_exports(__name__, {"tell_sinks": "telling"})
