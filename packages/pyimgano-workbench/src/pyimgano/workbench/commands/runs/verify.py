"""``pyimgano runs verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

if TYPE_CHECKING:
    from pyimgano.workbench.compare.verification import Verification

__all__ = ["verify"]

SHOWN = 20


def verify(
    run: Path = typer.Argument(metavar="RUN", help="Run directory; it is only read."),
    keep: Optional[Path] = typer.Option(
        None, "--keep", metavar="DIR", help="Keep the second run in this folder instead of removing it."
    ),
    tolerance: float = typer.Option(
        0.0, "--tolerance", metavar="X", min=0.0, help="By how much numbers may differ, e.g. on another processor."
    ),
    as_json: bool = typer.Option(False, "--json", help="Give all differences as JSON."),
) -> None:
    """Carry out a run's config again, and say whether records, thresholds, metrics and splits come out the same.

    The dataset must be where the run's config says. Exit code 0: identical; 1: not.

    Example: pyimgano runs verify runs/new
    """
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.printing import print_json, stdout_reserved
    from pyimgano.workbench.compare import measured_run
    from pyimgano.workbench.compare.verification import verify_run
    from pyimgano.workbench.runs import open_run

    with stdout_reserved():
        measured = measured_run(run)
        for category in measured.categories.values():
            category.records  # noqa: B018 - a damaged run is refused before the work, not after it
        config = open_run(run).config()
        found = verify_run(measured, config, keep=keep, tolerance=tolerance, progress=ConsoleProgress())
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    if not found.identical:
        raise typer.Exit(1)


def _print(found: Verification) -> None:
    from pyimgano.core.files import dumps_json
    from pyimgano.workbench.commands.printing import print_text

    within = f" within {found.tolerance:g}" if found.tolerance else ""
    compared = f"{found.n_records} records and {found.n_values} values compared"
    if found.identical:
        print_text(f"{found.run}: identical{within} ({compared})")
        return
    print_text(f"{found.run}: {len(found.disparities)} differences{within} ({compared})")
    for one in found.disparities[:SHOWN]:
        print_text(f"  {one.file}: {one.place}: {_short(one.run)} -> {_short(one.again)}")
    if len(found.disparities) > SHOWN:
        print_text(f"  … and {len(found.disparities) - SHOWN} more (--json gives all)")
    if found.environment:
        print_text("what is not as it was then, and may explain it:")
        for name, (then, now) in found.environment.items():
            print_text(f"  {name}: {dumps_json(then)} -> {dumps_json(now)}")
    else:
        print_text("Python, platform and the packages' versions are as they were then: look at the dataset")


def _short(value: Any) -> str:
    from pyimgano.core.files import dumps_json

    text = dumps_json(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
