"""A recipe: the stages of the workbench around one's own model, and an artifact of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyimgano.core.files import dump_json
from pyimgano.workbench.stages import (
    calibrate_category,
    evaluate_category,
    fit_category,
    prepare_data,
    write_artifacts,
)

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["ColourAudit"]


class ColourAudit:
    """Fits ``acme-mean-colour`` and keeps the colour of the good images, for the people who mix the paint.

    Parameters
    ----------
    digits : int
        Decimals of the colours in ``artifacts/colours.json``.

    Attributes
    ----------
    presets : mapping
        Preset → part of a run config.
    """

    presets: Mapping[str, Mapping[str, Any]] = MappingProxyType(
        {
            "fine": {"model": {"name": "acme-mean-colour", "params": {"size": 128, "cell": 8}}},
            "coarse": {"model": {"name": "acme-mean-colour", "params": {"size": 128, "cell": 32}}},
        }
    )

    def __init__(self, digits: int = 4) -> None:
        self.digits = digits

    def run(self, config: RunConfig, run: RunDirectory) -> None:
        """Carry out ``config`` and leave every artifact in ``run``."""
        data = prepare_data(config, run.progress)
        run.plan([part.name for part in data.categories])
        reports = []
        colours = {}
        for part in data.categories:
            fitted = fit_category(config, part, run.category(part.name), run.progress)
            mean = getattr(fitted.detector, "mean_", None)  # the user may have chosen another model
            if mean is not None:
                colours[part.name] = [round(float(value), self.digits) for value in mean[:3]]
            card = calibrate_category(config, part, fitted.detector, run.progress)
            reports.append(evaluate_category(config, part, fitted, card, run))
        dump_json({"schema_version": 1, "mean_rgb": colours}, run.artifact("colours.json"))
        run.finish(write_artifacts(config, data, reports, run))
