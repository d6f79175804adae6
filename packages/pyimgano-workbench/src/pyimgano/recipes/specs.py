"""The recipes that come with the workbench, for listings. Imports nothing but specs."""

from __future__ import annotations

from pyimgano.core.specs import RecipeSpec

__all__ = ["RECIPES"]

RECIPES: tuple[RecipeSpec, ...] = (
    RecipeSpec(
        "anomalib-train",
        "Train a model of anomalib (pyimgano-anomalib) with its Engine; then as industrial-adapt",
        "pyimgano.recipes.anomalib_train:AnomalibTrain",
        tags=("one-class", "anomalib"),
        parameters="none: everything is set in the run config (pyimgano schema run-config)",
        presets=("patchcore", "padim", "stfpm", "reverse-distillation"),
    ),
    RecipeSpec(
        "industrial-adapt",
        "Fit on good images, calibrate on held-out good ones, evaluate, and keep what inference needs",
        "pyimgano.recipes.industrial_adapt:IndustrialAdapt",
        tags=("one-class",),
        parameters="none: everything is set in the run config (pyimgano schema run-config)",
        presets=("balanced", "fast", "accurate", "highres", "few-shot", "noisy-train"),
    ),
    RecipeSpec(
        "micro-finetune",
        "Train a model, or adapt its backbone, for a short time on good images; then as industrial-adapt",
        "pyimgano.recipes.micro_finetune:MicroFinetune",
        tags=("one-class", "finetune"),
        presets=("adapt", "student"),
    ),
)
