"""``python -m benchmarks``: measure, print the table, write it to a file."""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks.measure import busy_seconds, machine, other_cores, versions
from benchmarks.results import Options, Outcome, table, write
from benchmarks.rows import GROUPS, ONLY_FULL

DISTRIBUTIONS = [
    "pyimgano-core",
    "pyimgano-models",
    "pyimgano-cli",
    "pyimgano-workbench",
    "anomalib",
    "adeval",
    "torch",
    "timm",
    "onnxruntime",
    "numpy",
    "scipy",
    "scikit-learn",
    "opencv-python",
    "typer",
]


def main(arguments: list[str] | None = None) -> int:
    """Run the suite.

    Parameters
    ----------
    arguments : list of str, optional
        Command line; the process's own by default.

    Returns
    -------
    int
        0 if every row was measured and every goal reached, 1 if a goal was missed, 2 if a row failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="NAME", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="cut data, one round: does the suite run?")
    parser.add_argument("--full", action="store_true", help="also the 10 %% coreset and the quality over five splits")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of A B A B for what takes minutes (default 2)")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of each process (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="split seed where one is enough (default 0)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/RESULTS.md"), help="the Markdown file to write")
    given = parser.parse_args(arguments)
    options = Options(rounds=given.rounds, quick=given.quick, full=given.full, threads=given.threads, seed=given.seed)
    chosen = given.only or [name for name in GROUPS if given.full or name not in ONLY_FULL]
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(DISTRIBUTIONS),
    }
    outcomes: dict[str, Outcome] = {}
    failures: dict[str, str] = {}
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        start, before = time.perf_counter(), busy_seconds()
        try:
            outcomes[name] = importlib.import_module(GROUPS[name]).measure(options)
        except Exception as error:  # one group that fails must not take the others' results with it
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        else:
            seconds = time.perf_counter() - start
            outcomes[name].raw["whole group"] = {"other_cores": other_cores(before, busy_seconds(), seconds)}
            print(table(outcomes[name].rows), flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        write(given.output, outcomes, options, about, failures, list(GROUPS))
    missed = [row.name for outcome in outcomes.values() for row in outcome.rows if row.passed is False]
    for name in missed:
        print(f"goal missed: {name}", file=sys.stderr)
    return 2 if failures else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
