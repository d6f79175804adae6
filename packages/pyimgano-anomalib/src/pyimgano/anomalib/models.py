"""A detector class for each image model of the installed anomalib, made when it is asked for by the model's class name.

>>> from pyimgano.anomalib.models import Patchcore
>>> Patchcore(coreset_sampling_ratio=0.01)
"""

from __future__ import annotations

import functools
from typing import Any

from pyimgano.anomalib.engine_detector import EngineDetector, detector_class
from pyimgano.anomalib.index import image_models

__all__: list[str] = []


@functools.cache
def _made(name: str) -> type[EngineDetector]:
    for model in image_models():
        if name == model.class_name:
            return detector_class(model)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: this anomalib has no image model {name!r}")


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made(name)
