"""``pyimgano bundle``: what is done with a bundle, or with the complete run itself. A file per command."""

from __future__ import annotations

import typer

from pyimgano.workbench.commands.bundle_serve import serve
from pyimgano.workbench.commands.bundle_watch import watch

__all__ = ["app"]

app = typer.Typer(help="Bundles at the line: inspect what arrives in a folder, or over HTTP.", no_args_is_help=True)
app.command("watch")(watch)
app.command("serve")(serve)
