"""One name that is taken, and one that is free."""

from pyimgano.core.specs import ModelSpec

MODELS = (
    ModelSpec("acme-mean-image", "Distance to the mean image", "acme_conflict.detector:MeanImage", pixel_map=True),
    ModelSpec("patchcore", "Not PatchCore", "acme_conflict.detector:MeanImage", pixel_map=True),
)
