"""Run directories: what a run leaves behind, how it is found again, and what it was made with."""

from pyimgano.workbench.runs.directory import CategoryFolder, RunDirectory, open_run
from pyimgano.workbench.runs.environment import describe_environment
from pyimgano.workbench.runs.listing import RunInfo, list_runs

__all__ = ["CategoryFolder", "RunDirectory", "RunInfo", "describe_environment", "list_runs", "open_run"]
