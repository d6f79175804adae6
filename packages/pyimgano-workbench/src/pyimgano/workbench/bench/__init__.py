"""Benchmarks: models × categories × seeds, each cell a run of the recipe, in processes of their own."""

from pyimgano.workbench.bench.leaderboard import COLUMNS, Leaderboard
from pyimgano.workbench.bench.matrix import Cell, plan_cells
from pyimgano.workbench.bench.pool import run_cells
from pyimgano.workbench.bench.suites import SUITES, Skipped, SuiteEntry, suite_entries

__all__ = [
    "COLUMNS",
    "SUITES",
    "Cell",
    "Leaderboard",
    "Skipped",
    "SuiteEntry",
    "plan_cells",
    "run_cells",
    "suite_entries",
]
