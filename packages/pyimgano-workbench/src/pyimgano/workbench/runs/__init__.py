"""Run directories: what a run leaves behind, how it is found again, and what it was made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.core.lazy import lazy_exports

if TYPE_CHECKING:
    from pyimgano.workbench.runs.directory import CategoryFolder, RunDirectory, open_run
    from pyimgano.workbench.runs.environment import describe_environment
    from pyimgano.workbench.runs.listing import RunInfo, list_runs

__all__ = ["CategoryFolder", "RunDirectory", "RunInfo", "describe_environment", "list_runs", "open_run"]

__getattr__ = lazy_exports(
    __name__,
    {
        "CategoryFolder": "directory",
        "RunDirectory": "directory",
        "RunInfo": "listing",
        "describe_environment": "environment",
        "list_runs": "listing",
        "open_run": "directory",
    },
)
