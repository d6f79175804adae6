"""The models of this package, for listings. Imports nothing of anomalib: its models are read from its sources."""

from __future__ import annotations

from collections.abc import Iterator

from pyimgano.anomalib.index import image_models
from pyimgano.core.errors import PyimganoError
from pyimgano.core.specs import ModelSpec, Requirement

__all__ = ["MODELS"]

WHOLE_IMAGES = ("dfkde", "ganomaly", "vlm-ad")
"""Models without anomaly maps."""

ANOMALIB = Requirement("anomalib", "pyimgano-anomalib")


def _specs() -> Iterator[ModelSpec]:
    yield ModelSpec(
        "anomalib-checkpoint",
        "A checkpoint or export of anomalib (.ckpt, .pt, .onnx, OpenVINO), with raw scores and maps",
        "pyimgano.anomalib.checkpoint:AnomalibCheckpoint",
        tags=("anomalib", "checkpoint", "pixel"),
        requires=(ANOMALIB,),
        pixel_map=True,
        export=("onnx",),
    )
    try:
        models = image_models()
    except PyimganoError:
        # Missing or broken: a listing goes on without its models, and making `anomalib-checkpoint` says what is wrong.
        return
    for model in models:
        maps = model.name not in WHOLE_IMAGES
        yield ModelSpec(
            f"anomalib-{model.name}",
            f"{model.title}, trained by anomalib's Engine",
            f"pyimgano.anomalib.models:{model.class_name}",
            tags=("anomalib", "pixel") if maps else ("anomalib",),
            requires=(ANOMALIB,),
            parameters="those of anomalib's class, and of pyimgano.anomalib.engine_detector",
            pixel_map=maps,
        )


MODELS: tuple[ModelSpec, ...] = tuple(_specs())
