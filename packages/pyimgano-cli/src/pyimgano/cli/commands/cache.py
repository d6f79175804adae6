"""``pyimgano cache``: the weights and exported graphs that are kept, and bringing weights here."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

__all__ = ["app"]

app = typer.Typer(
    help="The cached weights and exported graphs; downloading weights.\n\nExample: pyimgano cache list",
    no_args_is_help=True,
)

_JSON = typer.Option(False, "--json", help="Give a JSON object.")


@app.command("list")
def list_files(as_json: bool = _JSON) -> None:
    """List every cached file, and what killed processes left.

    The time is that of the last use, as far as the file system notes it. No file is read: `verify` does that.

    Example: pyimgano cache list
    """
    from pyimgano.cli.commands.cache_files import print_files

    print_files(as_json=as_json)


@app.command("info")
def show_weights(
    name: str = typer.Argument(help="A backbone, e.g. timm/resnet18, or a cached file or its model."),
    tag: str = typer.Option("default", "--tag", metavar="T", help="Which of the backbone's weights."),
    as_json: bool = _JSON,
) -> None:
    """Show where the weights of a backbone come from, whether they are here, and what to type if not.

    Opens no connection.

    Example: pyimgano cache info timm/resnet18
    """
    from pyimgano.cli.commands.cache_weights import print_weights

    print_weights(name, tag, as_json=as_json)


@app.command("fetch")
def fetch_weights(
    name: str = typer.Argument(help="A backbone, e.g. timm/resnet18."),
    tag: str = typer.Option("default", "--tag", metavar="T", help="Which of the backbone's weights."),
    file: Optional[Path] = typer.Option(None, "--from", metavar="FILE", help="Copy this file; nothing is downloaded."),
    url: Optional[str] = typer.Option(None, "--url", help="Download from this address, e.g. that of a mirror."),
    sha256: Optional[str] = typer.Option(
        None, "--sha256", metavar="HEX", help="The file's checksum, or its first digits (8 at least)."
    ),
    as_json: bool = _JSON,
) -> None:
    """Download weights into the cache, or copy them from a file; the only command that downloads.

    Prints the file's path. It is kept only if its checksum is right and it fits the backbone completely. HF_ENDPOINT
    names a mirror of the Hugging Face hub.

    Example: pyimgano cache fetch timm/resnet18.a1_in1k
    """
    from pyimgano.cli.commands.cache_weights import fetch

    fetch(name, tag, file=file, url=url, sha256=sha256, as_json=as_json)


@app.command("verify")
def verify_files(
    names: Optional[list[str]] = typer.Argument(None, help="Cached files or models; all files when none is named."),
    as_json: bool = _JSON,
) -> None:
    """Read every cached file and compare it with the checksum beside it.

    Ends with status 1 when a file is not what it should be, or nothing states its checksum.

    Example: pyimgano cache verify
    """
    from pyimgano.cli.commands.cache_files import verify

    if not verify(names or (), as_json=as_json):
        raise typer.Exit(1)


@app.command("clear")
def clear_files(
    names: Optional[list[str]] = typer.Argument(None, help="Cached files or models."),
    graphs: bool = typer.Option(False, "--graphs", help="Exported graphs; they are made again when needed."),
    weights: bool = typer.Option(False, "--weights", help="Weights."),
    features: bool = typer.Option(False, "--features", help="Features of images; they are computed again when needed."),
    leftovers: bool = typer.Option(False, "--leftovers", help="What killed processes left."),
    everything: bool = typer.Option(False, "--all", help="All of these."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    as_json: bool = typer.Option(False, "--json", help="Give what was removed as JSON; needs --yes."),
) -> None:
    """Say what would be removed, ask, and remove it. With names, only files of that name.

    Links are removed, never what they point to. Temporary files that changed within the last ten minutes may belong to
    a running process: they are kept unless they are named.

    Example: pyimgano cache clear --graphs --leftovers
    """
    from pyimgano.cli.commands.cache_files import choose, remove
    from pyimgano.core.errors import ConfigError

    kinds = {"graph": graphs, "weights": weights, "features": features, "leftover": leftovers}
    if as_json and not yes:
        raise ConfigError("asks nobody, so it removes at once", where="--json", hint="add --yes")
    chosen = choose(names or (), {kind for kind, asked in kinds.items() if asked or everything}, as_json=as_json)
    if not chosen or yes:
        remove(chosen)
        return
    import sys

    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError("nothing was removed: there is no terminal to ask on", where="--yes", hint="add --yes")
    if not typer.confirm("Remove them?", err=True):
        raise typer.Exit(1)
    remove(chosen)
