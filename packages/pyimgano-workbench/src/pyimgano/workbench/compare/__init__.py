"""Runs against runs, and against requirements: compared, ranked, checked and verified by their files alone."""

from pyimgano.workbench.compare.comparison import Comparison, compare_runs
from pyimgano.workbench.compare.measured import MeasuredRun, measured_run
from pyimgano.workbench.compare.regressions import check_regressions, parse_limit

__all__ = [
    "Comparison",
    "MeasuredRun",
    "check_regressions",
    "compare_runs",
    "measured_run",
    "parse_limit",
]
