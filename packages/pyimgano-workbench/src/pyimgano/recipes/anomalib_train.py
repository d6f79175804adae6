"""The recipe ``anomalib-train``: ``industrial-adapt`` for models that anomalib's ``Engine`` trains.

It stands here and not in ``pyimgano.anomalib``: that package knows core only, and a recipe is made of the workbench's
stages. The training itself is the model's ``fit``, so that any recipe can run the models; this one names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pyimgano.core.errors import ParameterError
from pyimgano.recipes.industrial_adapt import IndustrialAdapt
from pyimgano.workbench.recipe import PresetFacts
from pyimgano.workbench.recipe_description import describe_preset

__all__ = ["AnomalibTrain"]

STAGES = (
    "Read the dataset, split the good images, and refuse what could not end well.",
    "Train one model of anomalib per category with its Engine, on the good images of the fit alone, and save it.",
    "Find the threshold on good images that the training has not seen.",
    "Score the test images with raw scores, measure, and keep records, pictures and a page.",
    "Write what inference needs.",
)
PACKAGE = "pyimgano.anomalib"


class AnomalibTrain(IndustrialAdapt):
    """Trains one of anomalib's models per category; calibration, metrics and artifacts are those of every run.

    Attributes
    ----------
    presets : mapping
        Preset → part of a run config: a model of anomalib with anomalib's own defaults. Their backbones' weights are
        downloaded unless ``model.params.backbone_weights`` names a file.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "patchcore": {"model": {"name": "anomalib-patchcore"}},
            "padim": {"model": {"name": "anomalib-padim"}},
            "stfpm": {"model": {"name": "anomalib-stfpm", "params": {"epochs": 100}}},
            "reverse-distillation": {"model": {"name": "anomalib-reverse-distillation", "params": {"epochs": 100}}},
        }
    )
    preset_facts: ClassVar[Mapping[str, PresetFacts]] = MappingProxyType(
        {
            "patchcore": PresetFacts("anomalib's PatchCore: a memory of patch features.", own_model=True),
            "padim": PresetFacts("anomalib's PaDiM: a Gaussian at each place.", own_model=True),
            "stfpm": PresetFacts("anomalib's STFPM: a student of a frozen network, 100 epochs.", own_model=True),
            "reverse-distillation": PresetFacts(
                "anomalib's Reverse Distillation: a decoder that reproduces features, 100 epochs.", own_model=True
            ),
        }
    )

    @classmethod
    def describe_preset(cls, preset: str) -> dict[str, Any]:
        """Return what a preset does; see :class:`pyimgano.core.contracts.DescribesPresets`."""
        return describe_preset("anomalib-train", preset, STAGES)

    def check_model(self, detector: Any) -> None:
        """Refuse a model that is not anomalib's, before any image is read.

        Raises
        ------
        ParameterError
            It says which recipe runs every model.
        """
        if not type(detector).__module__.startswith(PACKAGE):
            raise ParameterError(
                f"{type(detector).__name__} is not a model of anomalib",
                where="recipe 'anomalib-train'",
                allowed="models whose names begin with anomalib-",
                hint="the recipe industrial-adapt runs every model",
            )
