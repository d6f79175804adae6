"""One cell: a run of the recipe, and the row that it becomes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import RunError

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.inference import RunModels
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["METRICS", "measure_cell"]

METRICS = ("image_auroc", "image_ap", "image_f1max", "overkill", "escape", "pixel_auroc", "pixel_aupro")
"""Metrics of a row; empty where they are not defined."""

LATENCY_IMAGES = 10

PATIENCE = 600.0
"""Seconds to wait for another process that is at the same run: one that a cluster has given up may still be alive."""


def measure_cell(config: RunConfig) -> dict[str, Any]:
    """Run one cell, or go on with its run that was interrupted, and return its row.

    Raises
    ------
    PyimganoError
        When the run fails.
    """
    run = _run(config)
    report = run.report()
    entry = report["categories"][0]
    timing = run.category(entry["name"]).report()["timing"]
    row: dict[str, Any] = {name: entry["metrics"].get(name, {}).get("value") for name in METRICS}
    for name in ("n_fit", "n_calibration", "n_test_good", "n_test_defective"):
        row[name] = entry[name]
    row["threshold"] = entry["threshold"]
    row["unscored"] = report["errors"]["n"]
    row["fit_seconds"] = timing["fit_seconds"]
    row["test_ms_per_image"] = timing["test_ms_per_image"]
    row["latency_ms"] = _latency(config, run)
    row["run"] = run.path.name
    return row


def _run(config: RunConfig) -> RunDirectory:
    from pyimgano.workbench.runs.lock import BusyError

    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _found_or_made(config)
        except BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _found_or_made(config: RunConfig) -> RunDirectory:
    from pyimgano.workbench.runs import open_run
    from pyimgano.workbench.training import resume_run, run_recipe

    path = Path(config.output.dir) / str(config.output.name)
    try:
        found = open_run(path, complete=False)
    except RunError:  # none of that name
        return run_recipe(config, entrypoint="benchmark")
    # Killed between the run's end and the row's: the run is there. Another one's is not taken.
    if found.config().to_json() != config.to_json():
        return run_recipe(config, entrypoint="benchmark")
    return found if found.complete else resume_run(found.path)


def _latency(config: RunConfig, run: RunDirectory) -> Optional[float]:
    """Return the median time from one image file to its score and map, in milliseconds, after a warm-up."""
    from pyimgano.core.feature_cache import without_feature_cache
    from pyimgano.datasets import read_dataset
    from pyimgano.workbench.inference import RunModels

    dataset = config.dataset
    samples = read_dataset(dataset.root, format=dataset.format, categories=dataset.categories, seed=config.seed)
    test = samples.select("test")[:LATENCY_IMAGES]
    if not test:
        return None
    models = RunModels(run)
    # What comes out of a cache is not what one image takes.
    with without_feature_cache():
        return _median_time(models, test)


def _median_time(models: RunModels, test: Sequence[Any]) -> float:
    from statistics import median

    from pyimgano.workbench.inference import Source

    fitted = models.fitted(Source(test[0].id, test[0].source, test[0].category))
    times = []
    for sample in (test[0], test[0], *test):
        start = time.perf_counter()
        list(fitted.stream([sample], batch_size=1))
        times.append(1000.0 * (time.perf_counter() - start))
    return median(times[2:])
