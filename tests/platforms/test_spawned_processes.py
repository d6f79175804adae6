"""Processes that are spawned, as they are on Windows and macOS: nothing of a parent's memory is there. Takes 8 s."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from pyimgano.core.creation import create_model
from pyimgano.core.images import read_image

# A script as people write one: with nothing that keeps a spawned process from running it again.
UNGUARDED = """
import multiprocessing, sys
multiprocessing.set_start_method("spawn")
print("the script runs", flush=True)
from pyimgano.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_script_without_a_main_guard_may_run_a_benchmark_in_several_processes(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED, encoding="utf-8")
    arguments = ["benchmark", "--dataset", parts, "--models", "pixel-gaussian", "--jobs", "2", "--output", "table"]
    done = subprocess.run(
        [sys.executable, "script.py", *map(str, arguments), "--set", "calibration.alpha=0.6"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the script runs") == 1
    rows = (tmp_path / "table" / "leaderboard.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:4] for line in rows[1:]] == [
        ["pixel-gaussian", category, "0", "ok"] for category in ("Bolt", "bolt")
    ]


def test_a_fitted_detector_scores_the_same_in_a_spawned_process(parts: Path) -> None:
    images = [read_image(parts / f"{number:02d}.png") for number in range(11)]
    detector = create_model("pixel-gaussian").fit(images[:8])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(detector.decision_function, images).result()
    assert np.array_equal(there, detector.decision_function(images))
