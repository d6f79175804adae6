"""``pyimgano init``: a first run config for a dataset, which ``pyimgano train --config`` runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from pyimgano.workbench.commands.completions import presets

__all__ = ["init"]


def init(
    dataset: Path = typer.Argument(metavar="DATASET_PATH", help="Folder of images, or a manifest (JSONL, CSV)."),
    output: Path = typer.Option(
        Path("pyimgano.toml"), "--output", "-o", help="The file to write: .toml, .yaml (extra 'yaml'), .json."
    ),
    preset: Optional[str] = typer.Option(
        None, "--preset", help="Preset of the recipe; default: its first one.", autocompletion=presets
    ),
    force: bool = typer.Option(False, "--force", help="Replace the file if it is there."),
    as_json: bool = typer.Option(False, "--json", help="Print the file and what was noticed as JSON."),
) -> None:
    """Look at a dataset and write a commented run config for it.

    `pyimgano train --config` runs it as it is. Asks nothing, on a terminal or off it. TOML and YAML explain every key;
    JSON has no comments.

    Example: pyimgano init parts/ --output parts.toml
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.core.files import atomic_open
    from pyimgano.workbench.commands.console import quoted, say
    from pyimgano.workbench.commands.printing import print_json, print_text
    from pyimgano.workbench.starter import FORMATS, starter_config

    form = FORMATS.get(output.suffix.lower())
    if form is None:
        raise ConfigError(f"cannot tell the format from {output.name!r}", where="--output", allowed=", ".join(FORMATS))
    if output.exists() and not force:
        hint = "choose another name with --output, or replace it with --force"
        raise ConfigError("the file is there already", where=str(output), hint=hint)
    text, notes = starter_config(dataset, output, preset=preset, form=form)
    with atomic_open(output) as stream:
        stream.write(text)
    for note in notes:
        say(note)
    if as_json:
        print_json({"config": output, "dataset": dataset, "notes": list(notes)})
    else:
        print_text(str(output))
    say(f"\nNext:\n  pyimgano train --config {quoted(output)}")
