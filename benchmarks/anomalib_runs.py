"""``python -m benchmarks.anomalib_runs``: PatchCore and PaDiM of both projects, side by side, as one leaderboard.

On ELPV mono cells, one split a seed, by the command that a user has: ``pyimgano benchmark --models
patchcore,anomalib-patchcore,padim,anomalib-padim``. Images, split, held-out images, metrics and ImageNet weights (of
the embedded EfficientNet-Lite0, under timm's names) are the same for all four. The rows are kept as
``benchmarks/anomalib/elpv.csv``, what was asked for and the paired differences as ``elpv.json``. Interrupted, it goes
on where it was.

The images are small (96 pixels), so that a coreset of 5 % takes minutes; what a smaller one keeps is mostly chance. It
says how near the two implementations are, not how good the methods can be.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import lite0
from pyimgano.core.files import atomic_open, dump_json
from pyimgano.core.plugins import find_distribution_version
from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, write_elpv

KEPT = Path(__file__).resolve().parent / "anomalib"
SEEDS = (0, 1, 2, 3, 4)
PAIRS = (("patchcore", "anomalib-patchcore"), ("padim", "anomalib-padim"))
LAYERS = {"patchcore": ["blocks.2", "blocks.4"], "padim": ["blocks.1", "blocks.2", "blocks.4"]}
OWN = {"patchcore": {"coreset_sampling_ratio": 0.05, "num_neighbors": 9}, "padim": {"n_features": 100}}
STUDENT_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Number of pairs → the 97.5 % quantile of Student's t with one degree of freedom fewer."""


def settings(weights: Path, size: int) -> dict[str, dict[str, Any]]:
    """Return model → parameters, the same for both sides.

    Parameters
    ----------
    weights : Path
        Of the backbone, under timm's names.
    size : int
        Side of the images, in pixels.
    """
    found: dict[str, dict[str, Any]] = {}
    for ours, theirs in PAIRS:
        found[ours] = {"input_size": size, "layers": LAYERS[ours], **OWN[ours]}
        found[theirs] = {
            **found[ours],
            "backbone": lite0.TIMM_NAME,
            "backbone_weights": str(weights),
            "pixel_mean": [lite0.PIXEL_MEAN / 255] * 3,
            "pixel_std": [lite0.PIXEL_DEVIATION / 255] * 3,
        }
    return found


def run_split(seed: int, work: Path, size: int) -> list[dict[str, str]]:
    """Run the four models on one split and return their rows.

    Parameters
    ----------
    seed : int
        Of the split, of the held-out images and of the models.
    work : Path
        Where weights, cells and runs lie.
    size : int
        Side of the images, in pixels.
    """
    import torch

    weights = work / "efficientnet-lite0.pth"
    if not weights.is_file():
        work.mkdir(parents=True, exist_ok=True)
        torch.save(lite0.state_dict(), weights)
    cells = work / f"elpv-{seed}"
    write_elpv(cells, seed=seed)
    board = work / f"bench-{seed}"
    chosen = settings(weights, size)
    command: list[Any] = [sys.executable, "-m", "pyimgano.cli", "benchmark", "--dataset", cells / ELPV_MANIFEST]
    command += ["--models", ",".join(chosen), "--seeds", seed, "--set", "output.report=false", "--output", board]
    for model, params in chosen.items():
        for key, value in params.items():
            command += ["--model-set", f"{model}.{key}={json.dumps(value)}"]
    own = {**os.environ, "PYIMGANO_PLUGINS": "none"}
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, env=own)
    with open(board / "leaderboard.csv", encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def paired(rows: list[dict[str, str]], metric: str = "image_auroc") -> list[dict[str, Any]]:
    """Return, for each pair, the mean of both and the mean difference, with its 95 % interval over the splits."""
    found = []
    for ours, theirs in PAIRS:
        pair = (ours, theirs)
        by_seed = {name: {row["seed"]: float(row[metric]) for row in rows if row["model"] == name} for name in pair}
        seeds = sorted(set(by_seed[ours]) & set(by_seed[theirs]))
        differences = [by_seed[ours][seed] - by_seed[theirs][seed] for seed in seeds]
        half = None
        if len(seeds) > 1:
            half = STUDENT_95[len(seeds)] * stdev(differences) / math.sqrt(len(seeds))
        found.append(
            {
                "ours": ours,
                "theirs": theirs,
                "metric": metric,
                "seeds": [int(seed) for seed in seeds],
                "mean_ours": mean(by_seed[ours][seed] for seed in seeds),
                "mean_theirs": mean(by_seed[theirs][seed] for seed in seeds),
                "mean_difference": mean(differences),
                "largest_difference": max(differences, key=abs),
                "half_width_95": half,
            }
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, and write the leaderboard after each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for cells and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--size", type=int, default=96, help="side of the images, in pixels")
    options = parser.parse_args(arguments)
    rows: list[dict[str, str]] = []
    KEPT.mkdir(exist_ok=True)
    for seed in options.seeds:
        rows += run_split(seed, options.work.resolve(), options.size)
        rows.sort(key=lambda row: (row["model"], int(row["seed"])))
        with atomic_open(KEPT / "elpv.csv") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        record = {
            "schema_version": 1,
            "dataset": "elpv-dataset, mono cells",
            "anomalib": find_distribution_version("anomalib"),
            "torch": find_distribution_version("torch"),
            "models": settings(Path("efficientnet-lite0.pth"), options.size),
            "paired": paired(rows),
        }
        dump_json(record, KEPT / "elpv.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
