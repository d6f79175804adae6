"""``python -m benchmarks.drift_runs``: whether learning from drifted copies helps under drift.

One model is fitted twice on real solar cells, without and with ``adapt.drift_augment``, by the commands that a user
types; ``pyimgano robust-benchmark --compare`` says what differs. What it found is kept under ``benchmarks/robustness``,
with the commands.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import child_environment, machine, versions

FOLDER = Path(__file__).resolve().parent / "robustness"
DISTRIBUTIONS = ["pyimgano-models", "pyimgano-workbench", "torch", "onnxruntime", "numpy", "opencv-python"]
MODELS = {
    "patchcore": ["model.name=patchcore", 'model.params={"input_size": 224, "coreset_sampling_ratio": 0.01}'],
    "padim": ["model.name=padim", 'model.params={"input_size": 128}'],
}
DRIFTS = "rotation,shift,exposure,light-gradient,defocus,sensor-noise,gamma,motion-blur,jpeg,scale"
"""The six that drift_augment draws from by default, and four that it has not seen."""

SEVERITIES = "1,3"


def _run(arguments: list[str], *, threads: int) -> str:
    """Run one pyimgano command and return what it printed; an error ends the script with the command's message."""
    command = [sys.executable, "-m", "pyimgano.cli", *arguments]
    done = subprocess.run(command, env=child_environment(threads), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def measure(model: str, seed: int, *, threads: int) -> dict[str, Any]:
    """Fit a model without and with drifted copies, and compare both under drift.

    Parameters
    ----------
    model : str
        Of :data:`MODELS`.
    seed : int
        Of the split, the fit and the drifts.
    threads : int
        Number of threads.

    Returns
    -------
    dict
        ``commands``, ``comparison`` and ``summaries`` of the two, ``seconds``.
    """
    from pyimgano.workbench.demo.elpv import write_elpv

    settings = [word for setting in MODELS[model] for word in ("--set", setting)]
    common = [*settings, "--set", "output.report=false", "--seed", str(seed)]
    asked = ["--drifts", DRIFTS, "--severities", SEVERITIES, "--seed", str(seed)]
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-drift-") as place:
        top = Path(place)
        write_elpv(top / "cells", seed=seed)
        data = next((top / "cells").glob("*.jsonl"))
        commands = [
            ["train", "--dataset", str(data), *common, "--output", str(top), "--set", "output.name=plain"],
            ["train", "--dataset", str(data), *common, "--output", str(top), "--set", "output.name=drifted"]
            + ["--set", "adapt.drift_augment=true"],
            ["robust-benchmark", "--from-run", str(top / "drifted"), "--compare", str(top / "plain"), *asked]
            + ["--output", str(top / "drift")],
        ]
        start = time.perf_counter()
        for command in commands:
            print(" ".join(command).replace(place, "…"), file=sys.stderr, flush=True)
            _run(command, threads=threads)
        found = json.loads((top / "drift" / "robustness.json").read_text(encoding="utf-8"))
        shown = [["pyimgano", *(word.replace(place + "/", "") for word in command)] for command in commands]
        return {
            "commands": shown,
            "seconds": round(time.perf_counter() - start, 1),
            "summary": found["summary"],
            "comparison": found["comparison"],
        }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_runs", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of each process (default 2)")
    options = parser.parse_args(arguments)
    for model in options.models:
        for seed in options.seeds:
            record = {
                "model": model,
                "dataset": "elpv mono",
                "seed": seed,
                "machine": machine(),
                "versions": versions(DISTRIBUTIONS),
                **measure(model, seed, threads=options.threads),
            }
            path = FOLDER / f"elpv-seed-{seed}" / f"{model}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            for line in record["comparison"]["answer"]:
                print(f"{model}, seed {seed}: {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
