"""Benchmarks: models × categories × seeds, each cell a run of the recipe, in processes of their own."""

from pyimgano.workbench.bench.leaderboard import COLUMNS, Leaderboard
from pyimgano.workbench.bench.matrix import Cell, plan_cells
from pyimgano.workbench.bench.pool import run_cells

__all__ = ["COLUMNS", "Cell", "Leaderboard", "plan_cells", "run_cells"]
