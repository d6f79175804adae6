"""Last stage: what inference needs, what vouches for the threshold, and the report over all categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyimgano.core.files import dump_json
from pyimgano.workbench.calibrate.card import CALIBRATION_SCHEMA
from pyimgano.workbench.monitor.reference import IMAGE_STATISTICS, IMAGE_STATISTICS_SCHEMA, measure_images
from pyimgano.workbench.postprocess.roi import copy_roi
from pyimgano.workbench.postprocess.settings import settings_of
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.runs.directory import (
    CALIBRATION_CARD,
    INFER_CONFIG,
    INFER_SCHEMA,
    ROI_FOLDER,
    SPLIT,
    RunDirectory,
    make_folder,
)
from pyimgano.workbench.stages.data import CategoryData, RunData

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["write_artifacts"]

SPLIT_SCHEMA = 1


def write_artifacts(
    config: RunConfig, data: RunData, reports: Sequence[Mapping[str, Any]], run: RunDirectory
) -> dict[str, Any]:
    """Write ``infer_config.json``, ``calibration_card.json``, ``split.json`` and ``image_statistics.json``.

    The calibration images are read once more for their statistics, at most 500 of a category.

    Parameters
    ----------
    reports : sequence of mapping
        The categories' reports, in the order of ``data.categories``.

    Returns
    -------
    dict
        The run's report.
    """
    from pathlib import Path

    cards = {report["category"]: report["calibration"] for report in reports}
    folders = {part.name: run.category(part.name).folder for part in data.categories}
    regions_of_interest = {part.name: _keep_roi(part, folders[part.name], run) for part in data.categories}
    processing = settings_of(config.postprocess)
    infer = {
        "schema_version": INFER_SCHEMA,
        "model": config.model.name,
        "params": config.model.params,
        "value_range": config.dataset.value_range,
        "regions": RegionPolicy.of(config.regions).to_json(),
        **({} if processing is None else {"postprocess": processing}),
        "categories": [
            {
                "name": name,
                # From the folder that this file lies in, as everywhere in a run.
                "checkpoint": f"../checkpoints/{folder}",
                "threshold": cards[name]["threshold"],
                "review_threshold": cards[name]["review_threshold"],
                "pixel_threshold": cards[name]["pixel_threshold"],
                "map_low": cards[name]["map_low"],
                **regions_of_interest[name],
            }
            for name, folder in folders.items()
        ],
    }
    dump_json(infer, run.artifact(INFER_CONFIG))
    dump_json({"schema_version": CALIBRATION_SCHEMA, "categories": cards}, run.artifact(CALIBRATION_CARD))
    splits = {part.name: part.split() for part in data.categories}
    dump_json({"schema_version": SPLIT_SCHEMA, "seed": config.seed, "categories": splits}, run.artifact(SPLIT))
    measured = {part.name: measure_images(part.calibration, config.dataset.value_range) for part in data.categories}
    statistics = {"schema_version": IMAGE_STATISTICS_SCHEMA, "categories": measured}
    dump_json(statistics, run.artifact(IMAGE_STATISTICS))
    n_errors = sum(len(report["errors"]) for report in reports)
    return {
        "recipe": config.recipe,
        "preset": config.preset,
        "model": config.model.name,
        "seed": config.seed,
        "dataset": Path(config.dataset.root).name,
        "n_test": sum(report["data"]["n_test"] for report in reports),
        "categories": [
            {
                "name": report["category"],
                "folder": folders[report["category"]],
                "report": f"categories/{folders[report['category']]}/report.json",
                **{
                    key: report["data"][key]
                    for key in ("n_fit", "n_calibration", "n_test", "n_test_good", "n_test_defective")
                },
                "threshold": report["calibration"]["threshold"],
                "metrics": report["metrics"],
            }
            for report in reports
        ],
        "means": _means(reports),
        "errors": {"n": n_errors, "max_errors": config.max_errors, "tolerated": n_errors <= config.max_errors},
        "skipped": sum(len(report["data"]["skipped"]) for report in reports),
        "warnings": sorted({warning for report in reports for warning in report["warnings"]}),
        "notes": list(data.notes),
    }


def _keep_roi(part: CategoryData, folder: str, run: RunDirectory) -> dict[str, Any]:
    """Keep what counts of a category's images where inference finds it; an image as a copy."""
    if part.roi is None:
        return {}
    if part.roi.mask is None:
        return {"roi": part.roi.to_json()}
    path = run.artifact(ROI_FOLDER) / f"{folder}.png"
    make_folder(path.parent)
    copy_roi(part.roi, path)
    return {"roi": f"{ROI_FOLDER}/{path.name}"}


def _means(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each metric's mean over the categories in which it is defined, and how many these are."""
    names: dict[str, None] = {}
    for report in reports:
        names.update(dict.fromkeys(report["metrics"]))
    means: dict[str, Any] = {}
    for name in names:
        values = [report["metrics"][name]["value"] for report in reports if name in report["metrics"]]
        defined = [value for value in values if value is not None]
        means[name] = {
            "value": sum(defined) / len(defined) if defined else None,
            "n_categories": len(defined),
            "of": len(reports),
        }
    return means
