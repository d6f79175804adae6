"""The workbench: run configs, stages, run directories, calibration, evaluation, inference, bundles, commands.

Listings come by here for :mod:`pyimgano.workbench.specs`, so nothing is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyimgano.workbench.bundle.bundle import Bundle, load_bundle
    from pyimgano.workbench.bundle.inspection import Inspection

__all__ = ["Bundle", "Inspection", "load_bundle"]

_PLACES = {"Bundle": "bundle", "load_bundle": "bundle", "Inspection": "inspection"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"pyimgano.workbench.bundle.{_PLACES[name]}"), name)
