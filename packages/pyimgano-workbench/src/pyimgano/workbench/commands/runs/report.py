"""``pyimgano runs report``."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

__all__ = ["report"]


def report(
    run: Path = typer.Argument(metavar="RUN", help="Run directory."),
    output: Optional[Path] = typer.Option(
        None, "--output", "-o", metavar="FILE", help="Where to; default: report.html in the run."
    ),
    thumbnails: Optional[int] = typer.Option(
        None,
        "--thumbnails",
        min=0,
        metavar="N",
        help="Pictures of each category to embed; default: all that there are.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the page's path as JSON."),
) -> None:
    """Make the report page of a run anew, from the run's files alone.

    The page is one file that works without a network: score histogram with a threshold to drag, curves, calibration
    card, the worst images, and a table of all of them.

    Example: pyimgano runs report runs/new --output new.html
    """
    from pyimgano.workbench.commands.printing import print_json, print_text
    from pyimgano.workbench.report import write_run_report
    from pyimgano.workbench.runs import open_run

    page = write_run_report(open_run(run), output, thumbnails=thumbnails)
    if as_json:
        print_json({"run": run, "page": page})
    else:
        print_text(str(page))
