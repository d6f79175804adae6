"""``pyimgano plugins``: what is plugged in, what became of it, and whether it keeps the contract; a new one."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.cli.completions import distributions

__all__ = ["app"]

app = typer.Typer(
    help="The installed plugins and what became of them.\n\nExample: pyimgano plugins list", no_args_is_help=True
)


@app.command("list")
def list_plugins(
    traceback: bool = typer.Option(False, "--traceback", help="Show the tracebacks of those that failed."),
    names: bool = typer.Option(False, "--names", help="Give the distributions alone."),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON array, one object per entry point."),
) -> None:
    """List every entry point with its status.

    Failed, incompatible and conflicting plugins are listed with the reason and what to do; they do not stop the others.

    Example: pyimgano plugins list --traceback
    """
    from pyimgano.cli.commands.listings import print_plugins

    print_plugins(as_json=as_json, names_only=names, traceback=traceback)


@app.command("info")
def show_plugin(
    distribution: str = typer.Argument(
        help="Name of the distribution, e.g. pyimgano-models.", autocompletion=distributions
    ),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON array, one object per entry point."),
) -> None:
    """Show all that one distribution offers.

    Example: pyimgano plugins info pyimgano-models
    """
    from pyimgano.cli.commands.listings import plugin_records
    from pyimgano.cli.output import print_json, print_text
    from pyimgano.core.errors import UnknownNameError
    from pyimgano.core.names import unknown_name_hint
    from pyimgano.core.plugins import find_distribution_version

    everything = plugin_records()
    records = [record for record in everything if record.entry.distribution == distribution]
    if not records:
        known = sorted({record.entry.distribution for record in everything})
        hint = unknown_name_hint(distribution, known, listing="pyimgano plugins list")
        raise UnknownNameError(f"no plugin is called {distribution!r}", hint=hint)
    if as_json:
        print_json([record.to_json() for record in records])
        return
    print_text(f"{distribution} {find_distribution_version(distribution) or '(not installed)'}")
    for record in records:
        print_text(f"\n{record.entry.group}: {record.entry.name} = {record.entry.value}")
        print_text(f"  {record.status}" + (f": {record.message}" if record.message else ""))
        if record.hint:
            print_text(f"  hint: {record.hint}")
        for spec in record.specs:
            print_text(f"  {spec.key}: {spec.summary}")
        if record.traceback:
            print_text("  " + record.traceback.rstrip().replace("\n", "\n  "))


@app.command("new")
def new_plugin(
    name: str = typer.Argument(metavar="NAME", help="Of the distribution and its command, e.g. bolt-check."),
    output: Path = typer.Option(Path(), "--output", "-o", metavar="DIR", help="Where its folder is made."),
    as_json: bool = typer.Option(False, "--json", help="Give its folder and files as a JSON object."),
) -> None:
    """Make a plugin to start from: a model, a recipe, a dataset layout, a preprocessing step, a command, and tests.

    It works as it is; keep what you need.

    Example: pyimgano plugins new bolt-check
    """
    from pyimgano.cli.new_plugin import plugin_files, write_plugin
    from pyimgano.cli.output import print_json, print_text, say

    folder = write_plugin(name, output)
    if as_json:
        print_json({"name": name, "folder": str(folder), "files": sorted(plugin_files(name))})
    else:
        print_text(str(folder))
    say(f'next: python -m pip install -e "{folder}[test]"')
    say(f"      pyimgano plugins check {name}")


@app.command("check")
def check_plugin(
    distribution: str = typer.Argument(metavar="DIST", help="Name of the installed distribution, e.g. bolt-check."),
    only: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--only", metavar="KEY", help="Only this model, recipe, dataset, component or command; repeatable."
    ),
    settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--set", metavar="KEY.PARAMETER=VALUE", help="Make it with this parameter, e.g. few steps; repeatable."
    ),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON object with one result per rule."),
) -> None:
    """Check that an installed plugin keeps the contract, and say how to mend what it breaks.

    Models are fitted, scored, saved and loaded on small made images; recipes are run twice by `pyimgano train`.

    Ends with status 1 when a rule is broken. What cannot be checked, for want of a library, is told and does not count.

    Example: pyimgano plugins check bolt-check --only bolt-check-roughness
    """
    from pyimgano.cli.commands.plugin_check import check_distribution

    if not check_distribution(distribution, only=only or (), settings=settings or (), as_json=as_json):
        raise typer.Exit(1)
