"""``pyimgano runs``: which runs there are, and what one of them found."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["app"]

app = typer.Typer(help="The runs that there are, and what one of them found.", no_args_is_help=True)


@app.command("list")
def list_all(
    folder: Path = typer.Argument(Path("runs"), help="Folder that the runs lie in."),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON array with everything that is known."),
) -> None:
    """List the runs in a folder, the oldest first."""
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json, print_table
    from pyimgano.workbench.runs import list_runs

    found = list_runs(folder)
    if as_json:
        print_json([info.to_json() for info in found])
        return
    if not found:
        say(f"no runs in {folder}; pyimgano train --output {folder} makes one")
    rows = []
    for info in found:
        auroc = (info.means or {}).get("image_auroc", {}).get("value")
        rows.append(
            (
                info.name,
                info.state,
                info.model or "-",
                info.dataset or "-",
                str(info.n_categories) if info.n_categories is not None else "-",
                str(info.n_test) if info.n_test is not None else "-",
                f"{auroc:.3f}" if auroc is not None else "-",
            )
        )
    print_table(("run", "state", "model", "dataset", "categories", "test images", "image AUROC"), rows, titles=True)


@app.command("show")
def show(
    run: Path = typer.Argument(metavar="RUN", help="Run directory."),
    as_json: bool = typer.Option(False, "--json", help="Give its config and report as JSON."),
) -> None:
    """Show what a run measured, and what it was made with."""
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
