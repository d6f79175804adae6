"""``python -m benchmarks.suite_runs``: the suite ``cpu`` on ELPV mono cells, one split a seed, as one leaderboard.

Each split is written and benchmarked by the commands that a user has: ``pyimgano demo --data elpv`` takes its cells in
the same way, and ``pyimgano benchmark --suite cpu`` makes the rows, kept as ``benchmarks/classical/elpv-cpu.csv``.
``tools/write_models_page.py`` makes a table of them. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path

from pyimgano.core.files import atomic_open
from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, write_elpv

LEADERBOARD = Path(__file__).resolve().parent / "classical" / "elpv-cpu.csv"
SEEDS = (0, 1, 2, 3, 4)


def run_split(seed: int, work: Path) -> list[dict[str, str]]:
    """Run the suite on one split and return its rows.

    Parameters
    ----------
    seed : int
        Of the split, of the held-out images and of the models.
    work : Path
        Where cells and runs lie.
    """
    cells = work / f"elpv-{seed}"
    write_elpv(cells, seed=seed)
    board = work / f"bench-{seed}"
    command = [sys.executable, "-m", "pyimgano.cli", "benchmark", "--dataset", cells / ELPV_MANIFEST]
    asked = ["--suite", "cpu", "--seeds", seed, "--set", "output.report=false", "--output", board]
    # A model that fails is a row, and the exit code 1.
    own = {**os.environ, "PYIMGANO_PLUGINS": "none"}  # what else is installed here is no part of the suite
    subprocess.run([str(part) for part in (*command, *asked)], check=False, stdout=subprocess.DEVNULL, env=own)
    with open(board / "leaderboard.csv", encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, and write the leaderboard after each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for cells and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    options = parser.parse_args(arguments)
    rows: list[dict[str, str]] = []
    for seed in options.seeds:
        rows += run_split(seed, options.work)
        rows.sort(key=lambda row: (row["model"], int(row["seed"])))
        with atomic_open(LEADERBOARD) as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
