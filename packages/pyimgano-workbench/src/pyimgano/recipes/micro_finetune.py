"""The recipe ``micro-finetune``: dataset → short training, measured on held-out images → calibration → evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from pyimgano.workbench.recipe import PresetFacts
from pyimgano.workbench.recipe_description import describe_preset
from pyimgano.workbench.stages import (
    calibrate_category,
    evaluate_category,
    finetune_category,
    finished_report,
    learn_postprocess,
    prepare_data,
    training_effect,
    write_artifacts,
)
from pyimgano.workbench.train.runner import check_model, keeps_images
from pyimgano.workbench.train.settings import TrainSettings

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["MicroFinetune"]

STAGES = (
    "Read the dataset, split the good images, and refuse what could not end well.",
    "Measure the untrained model on held-out images; train it for a short time, keeping the best state.",
    "Find the threshold on good images that the training has not seen.",
    "Score the test images by the trained and the untrained model, and say whether the training helped.",
    "Write what inference needs.",
)


@dataclass(frozen=True)
class MicroFinetune(TrainSettings):
    """Trains one detector per category for a short time on the user's own good images.

    Its parameters are those of :class:`~pyimgano.workbench.train.TrainSettings`. Beside what every run has, the report
    says whether training helped: the trained model against the same model before its first step, on the same test
    images, both calibrated on the same held-out ones.

    Attributes
    ----------
    presets : mapping
        Preset → part of a run config. ``adapt`` trains PatchCore's backbone for some epochs on synthetic defects and
        refits its memory; ``student`` trains STFPM's student.
    """

    whole_images: ClassVar[bool] = True
    """It takes neither ``preprocess`` nor ``tiling``."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "adapt": {
                "model": {
                    "name": "patchcore",
                    "params": {"backbone": "efficientnet-lite0", "input_size": 224, "coreset_sampling_ratio": 0.01},
                },
                "recipe_params": {"epochs": 5},
            },
            "student": {
                "model": {"name": "stfpm", "params": {"backbone": "efficientnet-lite0", "input_size": 224}},
                "recipe_params": {"epochs": 20},
            },
        }
    )

    preset_facts: ClassVar[Mapping[str, PresetFacts]] = MappingProxyType(
        {
            "adapt": PresetFacts("Adapts PatchCore's backbone for 5 epochs on painted defects, then fills its memory."),
            "student": PresetFacts("Trains STFPM's student for 20 epochs on the good images."),
        }
    )

    @classmethod
    def describe_preset(cls, preset: str) -> dict[str, Any]:
        """Return what a preset does; see :class:`pyimgano.core.contracts.DescribesPresets`."""
        return describe_preset("micro-finetune", preset, STAGES)

    def check_model(self, detector: Any) -> None:
        """Refuse a model that cannot be trained like this, before any image is read.

        Raises
        ------
        ParameterError
            Naming the parameter and what the model allows.
        """
        check_model(detector, self)

    def uses_copies(self, detector: Any) -> bool:
        """Tell whether ``adapt.copies`` means anything to a model: it does where a memory of images is kept."""
        return keeps_images(detector)

    def run(self, config: RunConfig, run: RunDirectory) -> None:
        """Carry out ``config``; a run that was interrupted goes on at the last kept step."""
        data = prepare_data(config, run.progress, train_defects=self.defects == "train")
        run.plan([part.name for part in data.categories])
        reports = []
        for part in data.categories:
            folder = run.category(part.name)
            if folder.complete:
                reports.append(finished_report(part, folder))
                continue
            finetuned = finetune_category(config, self, part, run)
            processing = learn_postprocess(config, part, finetuned.fitted.detector, run)
            card = calibrate_category(config, part, finetuned.fitted.detector, run.progress, processing=processing)

            def effect(records: Any, part: Any = part, finetuned: Any = finetuned) -> dict[str, Any]:
                return training_effect(config, finetuned, records, part.name)

            reports.append(
                evaluate_category(config, part, finetuned.fitted, card, run, more=effect, processing=processing)
            )
        run.finish(write_artifacts(config, data, reports, run))
