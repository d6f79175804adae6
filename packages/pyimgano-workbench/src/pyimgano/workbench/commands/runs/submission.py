"""``pyimgano runs submission``."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

__all__ = ["submission"]


def submission(
    run: Path = typer.Argument(metavar="RUN", help="A complete run on the objects of MVTec AD 2."),
    dataset: Path = typer.Argument(metavar="DATASET", help="Folder of the dataset, with its private test images."),
    output: Path = typer.Option(
        ..., "--output", "-o", metavar="DIR", help="Folder to write; DIR.json beside it says what is in it."
    ),
    splits: str = typer.Option(
        "test_private,test_private_mixed", "--splits", metavar="A,B", help="Private test sets to write."
    ),
    batch_size: Optional[int] = typer.Option(
        None, "--batch-size", metavar="N", min=1, help="Images per step; never changes a map."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an earlier submission."),
    as_json: bool = typer.Option(False, "--json", help="Print what DIR.json holds."),
) -> None:
    """Write what MVTec AD 2's evaluation server wants: maps (float16 TIFF) and masks (PNG, 0/255) at source size.

    It needs `pip install "pyimgano-workbench[submission]"`. What is missing for a complete submission is said.

    Example: pyimgano runs submission runs/ad2 MVTec_AD_2/ --output submission
    """
    from pyimgano.workbench.commands.console import ConsoleProgress, say
    from pyimgano.workbench.commands.printing import print_json, print_text, stdout_reserved
    from pyimgano.workbench.runs import open_run
    from pyimgano.workbench.submission import write_submission

    with stdout_reserved():
        written = write_submission(
            open_run(run),
            dataset,
            output,
            splits=[part.strip() for part in splits.split(",") if part.strip()],
            batch_size=batch_size,
            replace=force,
            progress=ConsoleProgress(),
        )
    if as_json:
        print_json(written.facts)
    else:
        print_text(str(written.path))
    for gap in written.gaps:
        say(f"not complete: {gap}")
