"""``pyimgano runs compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

if TYPE_CHECKING:
    from pyimgano.workbench.compare import Comparison
    from pyimgano.workbench.compare.regressions import RegressionCheck

__all__ = ["compare"]


def compare(
    a: Path = typer.Argument(metavar="A", help="Run directory: what there was."),
    b: Path = typer.Argument(metavar="B", help="Run directory: what is to be better."),
    as_json: bool = typer.Option(False, "--json", help="Give everything as JSON (pyimgano schema comparison)."),
    allow_different: bool = typer.Option(
        False, "--allow-different-splits", help="Compare runs of different test images on those that both have."
    ),
    limits: Optional[List[str]] = typer.Option(  # noqa: UP006
        None,
        "--fail-on-regression",
        metavar="METRIC[:MARGIN]",
        help="Exit with code 1 when B is worse by more than the margin, in any category or on average; repeatable.",
    ),
    significant: bool = typer.Option(
        False, "--significant", help="Let a metric count as worse only when its whole interval lies beyond the margin."
    ),
    page: Optional[Path] = typer.Option(
        None, "--report", metavar="FILE.html", help="Write a page with both runs side by side; it works offline."
    ),
    flips: int = typer.Option(10, "--flips", metavar="N", min=0, help="Changed decisions to show; JSON has all."),
    seed: int = typer.Option(0, "--seed", metavar="N", min=0, help="Seed of the bootstrap."),
    resamples: int = typer.Option(2000, "--resamples", metavar="N", min=200, help="Resamples of the bootstrap."),
) -> None:
    """Say whether run B beats run A on the same test images, by the files of both runs alone.

    Differences are B - A with a 95 % interval: AUROC and its like by a paired bootstrap (good and defective images
    drawn apart), overkill and escape image by image (McNemar's test). Each metric is judged by itself.

    Example: pyimgano runs compare runs/old runs/new --fail-on-regression image_auroc:0.01
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json
    from pyimgano.workbench.compare import check_regressions, compare_runs, measured_run, parse_limit

    wanted = [parse_limit(text) for text in limits or ()]
    if significant and not wanted:
        raise ConfigError("is about --fail-on-regression, which is not there", where="--significant")
    found = compare_runs(
        measured_run(a), measured_run(b), allow_different=allow_different, seed=seed, resamples=resamples
    )
    checks = check_regressions(found, wanted, significant=significant)
    if page is not None:
        from pyimgano.workbench.report import write_comparison_report

        write_comparison_report(found, page)
    if as_json:
        print_json({**found.to_json(), "regressions": [check.to_json() for check in checks]})
    else:
        _print(found, flips)
    failed = [check for check in checks if not check.passed]
    _tell(checks, as_json=as_json)
    if page is not None:
        say(f"page: {page}")
    if failed:
        raise typer.Exit(1)


def _print(found: Comparison, flips: int) -> None:
    from pyimgano.workbench.commands.printing import print_table, print_text
    from pyimgano.workbench.compare import text

    for line in text.headline_lines(found):
        print_text(line)
    print_text()
    mean = " (mean over the categories)" if len(found.categories) > 1 else ""
    print_table((f"metric{mean}", *text.METRIC_COLUMNS[1:]), text.metric_rows(found.metrics), titles=True)
    for line in text.reason_lines(found.metrics):
        print_text(line)
    if len(found.categories) > 1:
        print_text()
        print_table(("category", *text.METRIC_COLUMNS), text.category_rows(found.categories), titles=True)
    defects = text.defect_rows(found.categories)
    if defects:
        print_text()
        print_table(text.DEFECT_COLUMNS, defects, titles=True)
    print_text()
    print_text(text.flip_summary(found.flips, flips))
    if found.flips and flips:
        print_table(text.FLIP_COLUMNS, text.flip_rows(found.flips, flips), titles=True)
    tail = text.tail_lines(found)
    if tail:
        print_text()
    for line in tail:
        print_text(line)


def _tell(checks: list[RegressionCheck], *, as_json: bool) -> None:
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_text

    tell = say if as_json else print_text
    if checks:
        tell("")
    for check in checks:
        place = f" ({check.category})" if check.category is not None else " (mean)"
        tell(f"{'pass' if check.passed else 'FAIL'}: {check.metric}{place}: {check.reason}")
