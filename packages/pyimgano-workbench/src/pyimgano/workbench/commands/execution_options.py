"""The options of commands whose work a cluster can do."""

from __future__ import annotations

import typer

__all__ = ["EXECUTOR", "SCHEDULER"]

EXECUTOR = typer.Option(
    "local", "--executor", metavar="local|dask", help="Who works: processes of this machine, or a cluster's workers."
)
SCHEDULER = typer.Option(
    None,
    "--scheduler",
    metavar="ADDRESS",
    help="Of the Dask cluster: tcp://HOST:8786, or its scheduler file (.json). Default: DASK_SCHEDULER_ADDRESS.",
)
