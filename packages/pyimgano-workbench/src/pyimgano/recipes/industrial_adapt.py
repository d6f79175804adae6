"""The recipe ``industrial-adapt``: dataset → fit → calibration on held-out good images → evaluation → artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pyimgano.recipes.industrial_presets import FACTS, PRESETS
from pyimgano.workbench.recipe import PresetFacts
from pyimgano.workbench.recipe_description import describe_preset
from pyimgano.workbench.stages import (
    calibrate_category,
    evaluate_category,
    finished_report,
    fit_category,
    learn_postprocess,
    prepare_data,
    write_artifacts,
)

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["IndustrialAdapt"]

STAGES = (
    "Read the dataset, split the good images, and refuse what could not end well.",
    "Fit one detector per category on its good images, and save it.",
    "Find the threshold on good images that the fit has not seen.",
    "Score the test images, measure, and keep records, pictures and a page.",
    "Write what inference needs.",
)


class IndustrialAdapt:
    """Adapts one detector per category to the user's own good images.

    Attributes
    ----------
    presets : mapping
        Preset → part of a run config. What the user sets always wins; a preset's model parameters count only as long as
        the model is the preset's, those of its calibration as long as the method is. ``pyimgano recipes info
        industrial-adapt`` says what each does, and what was measured.
    preset_facts : mapping
        Preset → what it is for, and what contradicts it.
    fits_once : bool
        That each category is fitted once, beside the folds of a calibration: a dry run can then tell what that needs.
    """

    fits_once: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    preset_facts: ClassVar[Mapping[str, PresetFacts]] = FACTS

    @classmethod
    def describe_preset(cls, preset: str) -> dict[str, Any]:
        """Return what a preset does; see :class:`pyimgano.core.contracts.DescribesPresets`."""
        return describe_preset("industrial-adapt", preset, STAGES)

    def run(self, config: RunConfig, run: RunDirectory) -> None:
        """Carry out ``config``; a run that was interrupted goes on behind the last finished stage."""
        data = prepare_data(config, run.progress)
        run.plan([part.name for part in data.categories])
        reports = []
        for part in data.categories:
            folder = run.category(part.name)
            if folder.complete:
                reports.append(finished_report(part, folder))
                continue
            fitted = fit_category(config, part, folder, run.progress)
            scratch = run.scratch() / f"{folder.folder}.folds"
            processing = learn_postprocess(config, part, fitted.detector, run)
            card = calibrate_category(
                config, part, fitted.detector, run.progress, scratch=scratch, processing=processing
            )
            reports.append(evaluate_category(config, part, fitted, card, run, processing=processing))
        run.finish(write_artifacts(config, data, reports, run))
