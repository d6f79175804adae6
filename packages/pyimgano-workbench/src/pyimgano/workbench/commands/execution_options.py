"""The options of commands whose work a cluster can do."""

from __future__ import annotations

import typer

__all__ = ["EXECUTOR", "SCHEDULER"]

EXECUTOR = typer.Option(
    "local", "--executor", metavar="WHO", help="local (default), or dask: a cluster's workers.", show_default=False
)
SCHEDULER = typer.Option(
    None,
    "--scheduler",
    metavar="ADDRESS",
    help="Of Dask: tcp://HOST:8786, or its scheduler file.",
)
