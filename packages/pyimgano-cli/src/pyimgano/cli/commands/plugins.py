"""``pyimgano plugins``: what is plugged in, and what became of it."""

from __future__ import annotations

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
