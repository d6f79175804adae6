"""Twenty classical detectors as a benchmark of the command line, beside one extraction and the detectors alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import serve, stopwatch

DETECTORS = (
    "sklearn-elliptic-envelope",
    "sklearn-gaussian",
    "sklearn-gaussian-mixture",
    "sklearn-kernel-density",
    "sklearn-local-outlier-factor",
    "sklearn-nearest-neighbors",
    "sklearn-one-class-svm",
    "sklearn-pca",
    "pyod-abod",
    "pyod-cblof",
    "pyod-ecod",
    "pyod-gmm",
    "pyod-iforest",
    "pyod-kde",
    "pyod-knn",
    "pyod-kpca",
    "pyod-lof",
    "pyod-mcd",
    "pyod-ocsvm",
    "pyod-pca",
)
"""Detectors on feature vectors that share their default features."""


def write(folder: str, seed: int) -> dict[str, Any]:
    """Write a split of the solar cells, and return its manifest."""
    from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, write_elpv

    write_elpv(Path(folder), seed=seed)
    return {"dataset": str(Path(folder, ELPV_MANIFEST))}


def suite(dataset: str, output: str, cache: str, seed: int) -> dict[str, Any]:
    """Benchmark the detectors as a user does, with a cache of features that is empty at first."""
    command = [sys.executable, "-m", "pyimgano.cli", "-q", "benchmark", "--dataset", dataset, "--output", output]
    command += ["--models", ",".join(DETECTORS), "--seeds", str(seed)]
    env = {**os.environ, "PYIMGANO_CACHE_DIR": cache, "PYIMGANO_FEATURE_CACHE": "on", "PYIMGANO_PLUGINS": "none"}
    result: dict[str, Any] = {}
    with stopwatch(result, "seconds"):
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return result


def alone(dataset: str, seed: int) -> dict[str, Any]:
    """Describe all images once, then fit every detector and have it score, from features that lie in memory."""
    import numpy as np

    from pyimgano.core.batching import ImageBatches
    from pyimgano.core.creation import create_model
    from pyimgano.datasets import read_dataset, split_good
    from pyimgano.models.image_features import ImageFeatures
    from pyimgano.workbench.config import load_run_config

    start = time.perf_counter()
    config = load_run_config(flags={"dataset.root": dataset, "model.name": DETECTORS[0], "seed": seed})
    samples = read_dataset(dataset, seed=seed)
    good = split_good(samples, config.calibration.holdout, seed=seed)
    first: Any = create_model(DETECTORS[0])
    features = ImageFeatures(first.features)
    parts = ([sample.source for sample in part] for part in (good.fit, good.calibration, samples.select("test")))
    fitted, *scored = (
        np.concatenate([features.describe(batch) for batch in ImageBatches(part, prepare=first.prepare)])
        for part in parts
    )
    extracted = time.perf_counter() - start
    own: dict[str, float] = {}
    for name in DETECTORS:
        begin = time.perf_counter()
        detector: Any = create_model(name, seed=seed)
        _fit_rows(detector, fitted, features.blocks)
        for row in np.concatenate(scored):
            detector._score(row[None])
        own[name] = time.perf_counter() - begin
    return {"seconds": time.perf_counter() - start, "extraction": extracted, "detectors": own}


def _fit_rows(detector: Any, rows: Any, blocks: tuple[int, ...]) -> None:
    """Do what its ``_fit`` does behind the features."""
    from pyimgano.models.feature_steps import FeatureSteps

    detector._steps = FeatureSteps(detector.steps)
    values = detector._steps.fit(rows, blocks, detector.seed)
    estimator = detector._make_estimator()
    estimator.fit(values, detector._row_seed())
    detector._estimators = [estimator]


if __name__ == "__main__":
    serve({"write": write, "suite": suite, "alone": alone})
