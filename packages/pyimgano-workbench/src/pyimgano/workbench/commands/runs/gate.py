"""``pyimgano runs gate``."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import run_categories

__all__ = ["gate"]


def gate(
    run: Path = typer.Argument(metavar="RUN", help="Run directory."),
    require: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--require", "-r", metavar="METRIC>=VALUE", help="What must hold; also <=, >, <. Repeatable."
    ),
    min_n: Optional[List[str]] = typer.Option(  # noqa: UP006
        None,
        "--min-n",
        metavar="KIND=N",
        help="How many scored test images each category must have: good=50, defective=20. Repeatable.",
    ),
    bound: bool = typer.Option(
        False, "--bound", help="Judge the pessimistic end of each metric's interval instead of its value."
    ),
    category: Optional[List[str]] = typer.Option(  # noqa: UP006
        None,
        "--category",
        help="Check this category only; repeatable. Without it, every category must pass.",
        autocompletion=run_categories,
    ),
    mean: bool = typer.Option(False, "--mean", help="Check the mean over the categories instead of each of them."),
    as_json: bool = typer.Option(False, "--json", help="Give the checks as JSON."),
) -> None:
    """Check that a run's metrics are what they must be, and were measured on enough images; exit code 1 when not.

    A metric that is not defined fails. Quote the requirements: the shell takes > for itself.

    Example: pyimgano runs gate runs/new --require "image_auroc>=0.95" --require "overkill<=0.02" --min-n good=50
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.commands.printing import print_json, print_table
    from pyimgano.workbench.compare import measured_run
    from pyimgano.workbench.compare.requirements import check_requirements, parse_minimum, parse_requirement

    requirements = [parse_requirement(text) for text in require or ()]
    minimum = dict(parse_minimum(text) for text in min_n or ())
    if not requirements and not minimum:
        raise ConfigError("nothing is required", allowed='--require "METRIC>=VALUE", --min-n KIND=N')
    found = measured_run(run)
    checks = check_requirements(
        found, requirements, minimum=minimum, bound=bound, mean=mean, categories=list(category or ())
    )
    passed = all(check.passed for check in checks)
    if as_json:
        print_json(
            {"schema_version": 1, "run": found.name, "passed": passed, "checks": [check.to_json() for check in checks]}
        )
    else:
        rows = []
        for check in checks:
            n = ", ".join(f"{count} {kind}" for kind, count in check.n.items())
            value = "-" if check.value is None else f"{check.value:.6g}"
            verdict = "pass" if check.passed else "FAIL"
            rows.append((verdict, check.category or "(all)", check.requirement, value, n, check.reason))
        print_table(("", "category", "requirement", "value", "n", "why not"), rows, titles=True)
    if not passed:
        raise typer.Exit(1)
