"""``pyimgano schema``: the JSON Schemas of what pyimgano reads and writes."""

from __future__ import annotations

from typing import Optional

import typer

from pyimgano.workbench.commands.completions import schemas

__all__ = ["schema"]


def schema(
    name: Optional[str] = typer.Argument(
        None, help="Which one, e.g. run-config; without it, their names are listed.", autocompletion=schemas
    ),
    list_all: bool = typer.Option(False, "--list", help="List their names, versions and what they describe."),
    as_json: bool = typer.Option(False, "--json", help="Give the list as JSON; a schema is JSON anyway."),
) -> None:
    """Print the JSON Schema of the run config, or of a file that a command leaves.

    Example: pyimgano schema run-config
    """
    from pyimgano.core.errors import ConfigError, UnknownNameError
    from pyimgano.core.names import unknown_name_hint
    from pyimgano.workbench.commands.printing import print_json, print_table
    from pyimgano.workbench.schemas import SCHEMAS, VERSIONS, json_schema

    if name is None:
        if as_json:
            listed = [{"name": key, "version": VERSIONS[key], "of": text} for key, text in SCHEMAS.items()]
            print_json(listed)
            return
        print_table(("schema", "version", "of"), [(key, str(VERSIONS[key]), text) for key, text in SCHEMAS.items()])
        return
    if list_all:
        raise ConfigError(f"--list shows all of them, and {name!r} is one", allowed="--list, or a name")
    if name not in SCHEMAS:
        raise UnknownNameError(
            f"unknown schema {name!r}", allowed=", ".join(SCHEMAS), hint=unknown_name_hint(name, SCHEMAS)
        )
    print_json(json_schema(name))
