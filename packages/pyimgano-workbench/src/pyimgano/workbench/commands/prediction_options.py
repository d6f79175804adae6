"""The options that ``infer`` and ``bundle run`` have in common."""

from __future__ import annotations

import typer

from pyimgano.workbench.commands.completions import one_of

__all__ = [
    "AS_JSON",
    "BATCH_SIZE",
    "FORM",
    "INPUTS",
    "JOBS",
    "MAPS",
    "MASKS",
    "MAX_ERRORS",
    "OUTPUT",
    "OVERLAYS",
    "REGIONS",
    "SHARD_SIZE",
]

INPUTS = typer.Argument(metavar="INPUT...", help="Images, folders, patterns such as 'in/**/*.png', manifests.")
OUTPUT = typer.Option(
    None,
    "--output",
    "-o",
    help="A file (.jsonl, .csv), or a folder with pictures; stdout without it.",
)
FORM = typer.Option(None, "--format", help="jsonl (default) or csv.", autocompletion=one_of("jsonl", "csv"))
MAPS = typer.Option(False, "--maps", help="Raw anomaly maps: 32-bit float TIFF, source size.")
MASKS = typer.Option(False, "--masks", help="What reaches the pixel threshold: PNG, 0/255.")
OVERLAYS = typer.Option(False, "--overlays", help="The images with their heat-map: PNG.")
REGIONS = typer.Option(
    True, "--regions/--no-regions", help="List the defective regions, where there are maps.", show_default=False
)
MAX_ERRORS = typer.Option(0, "--max-errors", metavar="N", min=0, help="Unreadable images to tolerate.")
BATCH_SIZE = typer.Option(None, "--batch-size", metavar="N", min=1, help="Images per step; never changes a score.")
AS_JSON = typer.Option(False, "--json", help="Print the summary as JSON; needs --output.")
JOBS = typer.Option(1, "--jobs", metavar="N", min=1, help="Processes that score shards.")
SHARD_SIZE = typer.Option(
    None,
    "--shard-size",
    metavar="N",
    min=1,
    help="Images of each shard of the records (1000).",
)
