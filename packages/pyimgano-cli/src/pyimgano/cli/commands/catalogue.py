"""``pyimgano models``, ``pyimgano recipes``, ``pyimgano components``: what can be used by name."""

from __future__ import annotations

from typing import Optional

import typer

__all__ = ["components", "models", "recipes"]


def _catalogue(noun: str, summary: str) -> typer.Typer:
    app = typer.Typer(help=summary, no_args_is_help=True)

    @app.command("list", help=f"List the {noun}s, one per line.")
    def list_entries(
        tag: Optional[list[str]] = typer.Option(None, "--tag", help=f"Only {noun}s with this tag; may be repeated."),
        names: bool = typer.Option(False, "--names", help="Give the names alone."),
        as_json: bool = typer.Option(False, "--json", help="Give a JSON array with everything that is known."),
    ) -> None:
        from pyimgano.cli.commands.listings import print_listing

        print_listing(noun, tags=tag or (), as_json=as_json, names_only=names)

    @app.command("info", help=f"Show one {noun}: what it can do, what it needs, its parameters.")
    def show_entry(
        name: str = typer.Argument(help=f"Name of the {noun}."),
        as_json: bool = typer.Option(False, "--json", help="Give a JSON object."),
    ) -> None:
        from pyimgano.cli.commands.information import print_information

        print_information(noun, name, as_json=as_json)

    return app


models = _catalogue("model", "The detectors that can be trained and compared.")
recipes = _catalogue("recipe", "The recipes: from a dataset to a run directory.")
components = _catalogue("component", "The parts that models and recipes are made of.")
