"""What this distribution offers, as data. It imports nothing but the spec classes."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec, DatasetSpec, ModelSpec, RecipeSpec

__all__ = ["COMPONENTS", "DATASETS", "MODELS", "RECIPES"]

MODELS = (
    ModelSpec(
        name="acme-mean-colour",
        summary="Distance of each cell's colour to the colours of good images",
        factory="acme_inspect.detector:MeanColour",
        tags=("colour", "pixel"),
        pixel_map=True,
    ),
    ModelSpec(
        name="acme-filter-bank",
        summary="Distance of small filters' answers to those of good images; exports itself",
        factory="acme_inspect.filters:FilterBank",
        tags=("pixel", "texture"),
        pixel_map=True,
        export=("onnx",),
    ),
)

DATASETS = (
    DatasetSpec(
        name="acme-pairs",
        summary="Each part photographed as a good reference and as it left the line",
        factory="acme_inspect.pairs:PairsReader",
        tags=("masks", "pairs"),
        layout="<part>_ref.*, <part>_new.*, and <part>_mask.* for each part that is defective",
    ),
)

COMPONENTS = (
    ComponentSpec(
        name="acme-colour-grid",
        summary="Mean and standard deviation of the colours in each cell of a grid",
        factory="acme_inspect.features:ColourGrid",
        tags=("colour",),
        kind="features",
    ),
)

RECIPES = (
    RecipeSpec(
        name="acme-colour-audit",
        summary="Fit the colours of good images, and keep them as an artifact",
        factory="acme_inspect.recipe:ColourAudit",
        tags=("colour",),
        presets=("fine", "coarse"),
    ),
)
