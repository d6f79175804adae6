"""A recipe: the stages of the workbench, and a verdict of one's own on what they found."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyimgano.core.files import dump_json
from pyimgano.core.parameters import require
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

__all__ = ["Acceptance"]


class Acceptance:
    """Fits, calibrates and evaluates as usual, and writes ``artifacts/acceptance.json``.

    Parameters
    ----------
    max_escape : float
        A category is accepted when at most this share of its defective test images passed, 0 to 1.
    max_overkill : float
        And at most this share of its good ones was rejected, 0 to 1.

    Attributes
    ----------
    presets : mapping
        Preset → part of a run config; what the user sets wins, key by key.
    """

    presets: Mapping[str, Mapping[str, Any]] = MappingProxyType(
        {
            "default": {"model": {"name": "plugin-template-roughness", "params": {"size": 128, "cell": 8}}},
            "fine": {"model": {"name": "plugin-template-roughness", "params": {"size": 256, "cell": 8}}},
        }
    )

    def __init__(self, max_escape: float = 0.0, max_overkill: float = 0.1) -> None:
        for name, value in (("max_escape", max_escape), ("max_overkill", max_overkill)):
            require(0 <= value <= 1, name, value, "0 to 1")
        self.max_escape = max_escape
        self.max_overkill = max_overkill

    def run(self, config: RunConfig, run: RunDirectory) -> None:
        """Carry out ``config`` and leave every artifact in ``run``; an interrupted run goes on where it was."""
        data = prepare_data(config, run.progress)
        run.plan([part.name for part in data.categories])
        reports = []
        for part in data.categories:
            folder = run.category(part.name)
            if folder.complete:
                reports.append(finished_report(part, folder))
                continue
            fitted = fit_category(config, part, folder, run.progress)
            maps = learn_postprocess(config, part, fitted.detector, run)
            card = calibrate_category(config, part, fitted.detector, run.progress, processing=maps)
            reports.append(evaluate_category(config, part, fitted, card, run, processing=maps))
        verdicts = {report["category"]: self._verdict(report["metrics"]) for report in reports}
        dump_json({"schema_version": 1, "categories": verdicts}, run.artifact("acceptance.json"))
        run.finish(write_artifacts(config, data, reports, run))

    def _verdict(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return the verdict on a category; what was not measured, for want of test images, is not accepted."""
        escape, overkill = (metrics.get(name, {}).get("value") for name in ("escape", "overkill"))
        measured = escape is not None and overkill is not None
        accepted = measured and escape <= self.max_escape and overkill <= self.max_overkill
        return {"accepted": accepted, "escape": escape, "overkill": overkill}
