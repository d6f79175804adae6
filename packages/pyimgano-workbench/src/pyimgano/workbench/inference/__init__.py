"""Inference: any number of images in, one record each out, with the scores that the run itself would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.core.lazy import lazy_exports

if TYPE_CHECKING:
    from pyimgano.workbench.inference.category import FittedCategory
    from pyimgano.workbench.inference.fitted import RunModels
    from pyimgano.workbench.inference.models import FittedModels
    from pyimgano.workbench.inference.sinks import Destination, parse_destination
    from pyimgano.workbench.inference.sources import InputList, Source
    from pyimgano.workbench.inference.stream import Summary, predict_stream, write_predictions

__all__ = [
    "Destination",
    "FittedCategory",
    "FittedModels",
    "InputList",
    "RunModels",
    "Source",
    "Summary",
    "parse_destination",
    "predict_stream",
    "write_predictions",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Destination": "sinks",
        "FittedCategory": "category",
        "FittedModels": "models",
        "InputList": "sources",
        "RunModels": "fitted",
        "Source": "sources",
        "Summary": "stream",
        "parse_destination": "sinks",
        "predict_stream": "stream",
        "write_predictions": "stream",
    },
)
