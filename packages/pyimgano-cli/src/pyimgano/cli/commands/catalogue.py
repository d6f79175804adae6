"""``pyimgano models``, ``pyimgano recipes``, ``pyimgano components``: what can be used by name."""

from __future__ import annotations

from typing import Optional

import typer

from pyimgano.cli.completions import names_of, tags_of

__all__ = ["components", "models", "recipes"]


def _catalogue(noun: str, summary: str, *, name: str, tag: str) -> typer.Typer:
    """Return the commands of one kind of entry; ``name`` and ``tag`` are an entry and a tag for the examples."""
    complete_name, complete_tag = names_of(noun), tags_of(noun)
    app = typer.Typer(help=f"{summary}\n\nExample: pyimgano {noun}s info {name}", no_args_is_help=True)

    @app.command("list", help=f"List the {noun}s, one per line.\n\nExample: pyimgano {noun}s list --tag {tag} --names")
    def list_entries(
        tag: Optional[list[str]] = typer.Option(
            None,
            "--tag",
            help=f"Only {noun}s with this tag; may be repeated.",
            autocompletion=complete_tag,
        ),
        names: bool = typer.Option(False, "--names", help="Give the names alone."),
        as_json: bool = typer.Option(False, "--json", help="Give a JSON array with everything that is known."),
    ) -> None:
        from pyimgano.cli.commands.listings import print_listing

        print_listing(noun, tags=tag or (), as_json=as_json, names_only=names)

    @app.command(
        "info",
        help=f"Show one {noun}: what it can do, what it needs, its parameters.\n\n"
        f"Example: pyimgano {noun}s info {name}",
    )
    def show_entry(
        name: str = typer.Argument(help=f"Name of the {noun}.", autocompletion=complete_name),
        as_json: bool = typer.Option(False, "--json", help="Give a JSON object."),
    ) -> None:
        from pyimgano.cli.commands.information import print_information

        print_information(noun, name, as_json=as_json)

    return app


models = _catalogue("model", "The detectors that can be trained and compared.", name="patchcore", tag="classical")
recipes = _catalogue(
    "recipe", "The recipes: from a dataset to a run directory.", name="industrial-adapt", tag="finetune"
)
components = _catalogue(
    "component", "The parts that models and recipes are made of.", name="threshold/conformal", tag="defects"
)
