"""The root of the command line: a typer group that knows all commands by name and imports only the one asked for."""

from __future__ import annotations

from typing import Any, Optional

import typer
from typer.core import TyperCommand, TyperGroup

from pyimgano.cli.discovery import find_commands, load_command, summary_of
from pyimgano.cli.help_text import fit_help
from pyimgano.core.errors import ConfigError, PyimganoError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.plugins import EntryPoint

__all__ = ["LazyGroup", "build_app", "build_command"]

EPILOG = "Exit codes: 0 done, 1 failed, 2 usage, 3 missing, 4 data, 5 run, 70 bug, 71 memory, 74 disk, 130 ^C."


def build_command(entry: EntryPoint, name: str) -> Any:
    """Load one command and return it as typer's command object, called ``name``.

    Raises
    ------
    MissingDependencyError, PluginError
        When it cannot be loaded.
    """
    target = load_command(entry)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.callback()(_nothing)  # makes it a group, from which the one command is taken
    if isinstance(target, typer.Typer):
        own = target.info.cls
        app.add_typer(target, name=name, cls=own if isinstance(own, type) else SuggestingGroup)
    else:
        app.command(name)(target)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    fit_help(command)
    return command


def _nothing() -> None:
    pass


class SuggestingGroup(TyperGroup):
    """Refuses an unknown command with the nearest ones, in the words that all unknown names are refused with."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Optional[str], Optional[Any], list[str]]:
        """Return the name, the command and its arguments."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            hint = unknown_name_hint(name, self.list_commands(ctx), listing=f"{ctx.command_path} --help")
            raise UnknownNameError(f"unknown command {name!r}", hint=hint)
        return (name if command else None), command, args[1:]


class LazyGroup(SuggestingGroup):
    """Takes its commands from the entry points.

    While the help is written, a command stands for itself by its name and summary; it becomes a real one when called.
    """

    _writing_help = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands; imports none of them."""
        return list(find_commands().owners)

    def get_command(self, ctx: Any, cmd_name: str) -> Optional[Any]:
        """Return one command, or None when nothing has the name."""
        entry = find_commands().get(cmd_name)
        if entry is None:
            return None
        if self._writing_help:
            summary = summary_of(entry)
            if self.rich_markup_mode is not None:
                summary = summary.replace("[", r"\[")  # no markup: pip install "x[extra]"
            panel = find_commands().panel(cmd_name)
            return TyperCommand(cmd_name, help=summary, short_help=summary, rich_help_panel=panel)
        try:
            return build_command(entry, cmd_name)
        except PyimganoError:
            if ctx.resilient_parsing:  # completing a command line: a broken plugin has nothing to offer
                return None
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without making any command."""
        self._writing_help = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._writing_help = False


def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks; may stand anywhere. As PYIMGANO_DEBUG=1."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Show warnings and errors only."),
    verbose: int = typer.Option(
        0, "--verbose", "-v", count=True, show_default=False, help="Show more messages; twice for all libraries'."
    ),
    list_models: bool = typer.Option(False, "--list-models", help="List the models."),
    list_recipes: bool = typer.Option(False, "--list-recipes", help="List the recipes."),
    list_datasets: bool = typer.Option(False, "--list-datasets", help="List the dataset layouts."),
    list_plugins: bool = typer.Option(False, "--list-plugins", help="List the installed plugins."),
    as_json: bool = typer.Option(False, "--json", help="Give the listing as JSON."),
) -> None:
    """Industrial visual anomaly detection: from a folder of images to a calibrated inspection.

    Example: pyimgano demo
    """
    if version:
        from pyimgano.core import __version__

        typer.echo(f"pyimgano {__version__}")
        raise typer.Exit()
    asked = {"model": list_models, "recipe": list_recipes, "dataset": list_datasets, "plugin": list_plugins}
    if any(asked.values()):
        from pyimgano.cli.commands import listings

        for noun in [noun for noun, wanted in asked.items() if wanted]:
            listings.print_listing(noun, as_json=as_json, names_only=True)
        raise typer.Exit()
    if as_json:
        raise ConfigError("belongs to a listing", where="--json", hint="pyimgano --list-models --json")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    from pyimgano.cli.output import configure_logging

    configure_logging(-1 if quiet else verbose)


def build_app() -> Any:
    """Return the root command."""
    app = typer.Typer(
        cls=LazyGroup,
        add_completion=False,  # `pyimgano completion` does it, for all programs, and changes no file and no policy
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        invoke_without_command=True,
        epilog=EPILOG,
    )
    app.callback()(_root)
    root = typer.main.get_command(app)
    fit_help(root)
    return root
