"""``pyimgano runs show``."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["show"]


def show(
    run: Path = typer.Argument(metavar="RUN", help="Run directory."),
    as_json: bool = typer.Option(False, "--json", help="Give its config and report as JSON."),
) -> None:
    """Show what a run measured, and what it was made with.

    Example: pyimgano runs show runs/new
    """
    from pyimgano.core.files import load_json
    from pyimgano.workbench.commands.printing import print_json, print_text
    from pyimgano.workbench.runs import open_run
    from pyimgano.workbench.runs.directory import CONFIG_JSON, ENVIRONMENT_JSON
    from pyimgano.workbench.summary import run_summary

    found = open_run(run, complete=False)
    config = load_json(found.path / CONFIG_JSON)  # as it stands: the data and the model may be gone
    environment = load_json(found.path / ENVIRONMENT_JSON)
    report = found.report() if found.complete else None
    if as_json:
        facts = {"run": found.name, "complete": found.complete, "config": config, "environment": environment}
        print_json({**facts, "report": report})
        return
    print_text(found.name)
    if report is None:
        print_text(f"model {config['model']['name']}, dataset {config['dataset']['root']}")
        print_text(f'incomplete; finish it with: pyimgano train --resume "{found.path}"')
        return
    for line in run_summary(found):
        print_text(line)
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    print_text(f"made with Python {environment['python']} on {environment['device']}: {versions}")
