"""What this distribution offers, as data. Every listing loads it, so it imports nothing but the spec classes."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec, DatasetSpec, ModelSpec, RecipeSpec

__all__ = ["COMPONENTS", "DATASETS", "MODELS", "RECIPES"]

# A name is what people type: lower case, and with the distribution's in front it can meet nobody else's.
MODELS = (
    ModelSpec(
        name="plugin-template-roughness",
        summary="How far the roughness of each cell lies from that of good images",
        factory="plugin_template.roughness:Roughness",
        tags=("pixel", "texture"),
        pixel_map=True,
    ),
)

DATASETS = (
    DatasetSpec(
        name="plugin-template-verdicts",
        summary="One folder of images whose names end in the inspector's verdict",
        factory="plugin_template.verdict_names:VerdictNames",
        tags=("groups",),
        layout="<lot>-<part>_OK.png, <lot>-<part>_NG.png",
    ),
)

COMPONENTS = (
    ComponentSpec(
        name="plugin-template-highlights",
        summary="Cuts off reflections: nothing is brighter than a percentile of the image",
        factory="plugin_template.highlights:Highlights",
        tags=("light",),
        kind="preprocess",
    ),
)

RECIPES = (
    RecipeSpec(
        name="plugin-template-acceptance",
        summary="Fit, calibrate, evaluate, and say of each category whether it may go to the line",
        factory="plugin_template.acceptance:Acceptance",
        tags=("acceptance",),
        presets=("default", "fine"),  # the default one first; the class defines them
    ),
)
