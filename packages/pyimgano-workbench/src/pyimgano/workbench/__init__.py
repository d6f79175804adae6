"""The workbench: run configs, stages, run directories, calibration, evaluation, inference, bundles, commands.

Listings come by here for :mod:`pyimgano.workbench.specs`, so nothing is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.core.lazy import lazy_exports

if TYPE_CHECKING:
    from pyimgano.workbench.bundle.bundle import Bundle, load_bundle
    from pyimgano.workbench.bundle.inspection import Inspection

__all__ = ["Bundle", "Inspection", "load_bundle"]

__getattr__ = lazy_exports(
    __name__, {"Bundle": "bundle.bundle", "Inspection": "bundle.inspection", "load_bundle": "bundle.bundle"}
)
