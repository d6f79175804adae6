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
    help="A file (.jsonl, .csv), or a folder for records and pictures. Without it records go to stdout.",
)
FORM = typer.Option(None, "--format", help="jsonl (default) or csv.", autocompletion=one_of("jsonl", "csv"))
MAPS = typer.Option(False, "--maps", help="Write raw anomaly maps: 32-bit float TIFF, source size.")
MASKS = typer.Option(False, "--masks", help="Write masks of what reaches the pixel threshold: PNG, 0/255, source size.")
OVERLAYS = typer.Option(False, "--overlays", help="Write the images with their heat-map: PNG.")
REGIONS = typer.Option(
    True, "--regions/--no-regions", help="List the defective regions of each image, where the model has maps."
)
MAX_ERRORS = typer.Option(
    0, "--max-errors", metavar="N", min=0, help="Unreadable images to tolerate; with more of them the exit code is 4."
)
BATCH_SIZE = typer.Option(None, "--batch-size", metavar="N", min=1, help="Images per step; never changes a score.")
AS_JSON = typer.Option(False, "--json", help="Print the summary as JSON; needs --output.")
JOBS = typer.Option(
    1, "--jobs", metavar="N", min=1, help="Processes that score shards of the images; each loads the models."
)
SHARD_SIZE = typer.Option(
    None,
    "--shard-size",
    metavar="N",
    min=1,
    help="Write records in shards of so many images (1000 with --jobs and --executor); the same command goes on.",
)
