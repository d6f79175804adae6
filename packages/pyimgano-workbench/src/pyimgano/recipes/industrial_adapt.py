"""The recipe ``industrial-adapt``: dataset → fit → calibration on held-out good images → evaluation → artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from pyimgano.workbench.stages import (
    calibrate_category,
    evaluate_category,
    finished_report,
    fit_category,
    prepare_data,
    write_artifacts,
)

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["IndustrialAdapt"]

_LITE0 = {"backbone": "efficientnet-lite0"}


class IndustrialAdapt:
    """Adapts one detector per category to the user's own good images.

    Attributes
    ----------
    presets : mapping
        Preset → part of a run config. What the user sets always wins; a preset's model parameters count only as long as
        the model is the preset's.

        ``fast`` keeps 1 % of the patches, ``balanced`` 10 %. ``accurate`` looks at images of 320 pixels instead of 224,
        for small defects in large images, at three to four times the time of ``balanced``. Image AUROC on ELPV mono
        (200 good images, two splits): 0.957, 0.966, 0.965; these cells are 300 pixels wide and have nothing small to
        gain from.
    fits_once : bool
        That each category is fitted once, beside the folds of a calibration: a dry run can then tell what that needs.
    """

    fits_once: ClassVar[bool] = True
    presets: Mapping[str, Mapping[str, Any]] = MappingProxyType(
        {
            "fast": {
                "model": {
                    "name": "patchcore",
                    "params": {**_LITE0, "input_size": 224, "coreset_sampling_ratio": 0.01},
                }
            },
            "balanced": {
                "model": {
                    "name": "patchcore",
                    "params": {**_LITE0, "input_size": 224, "coreset_sampling_ratio": 0.1},
                }
            },
            "accurate": {
                "model": {
                    "name": "patchcore",
                    "params": {**_LITE0, "input_size": 320, "coreset_sampling_ratio": 0.1},
                }
            },
        }
    )

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
            card = calibrate_category(config, part, fitted.detector, run.progress, scratch=scratch)
            reports.append(evaluate_category(config, part, fitted, card, run))
        run.finish(write_artifacts(config, data, reports, run))
