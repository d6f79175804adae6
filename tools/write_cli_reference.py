"""Write ``docs/cli-reference.md`` from the commands themselves.

::

    python tools/write_cli_reference.py
    python tools/write_cli_reference.py --check
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["PYIMGANO_PLUGINS"] = "none"  # before anything is looked for: the page is about pyimgano alone

from written_files import ROOT, write_or_check

from pyimgano.cli.app import build_app, build_command
from pyimgano.cli.discovery import PANELS, find_commands

PAGE = ROOT / "docs" / "cli-reference.md"

HEAD = """# Reference of the command line

Written by `python tools/write_cli_reference.py`; do not edit. `pyimgano COMMAND --help` shows the same on a terminal.
[The command line](cli.md) explains output, exit codes, environment variables, and how to add a command.

Options of the program stand before the command, `--debug` anywhere. Every command takes `-h` and `--help`.
"""

# How values are called here: releases of typer differ in what they call them.
TYPES = {"text": "TEXT", "str": "TEXT", "path": "PATH", "integer": "N", "int": "N", "float": "X"}


def page() -> str:
    """Return the page."""
    parts = [HEAD, _contents(), "## pyimgano\n", *_described(build_app(), "pyimgano")]
    for title, names in PANELS.items():
        parts.append(f"## {title}\n")
        for name in names:
            for path, command in _with_those_below(_command(name), f"pyimgano {name}"):
                parts += [f"### {path}\n", *_described(command, path)]
    return "\n".join(parts)


def _contents() -> str:
    lines = []
    for title, names in PANELS.items():
        links = []
        for name in names:
            links += [f"[`{path}`](#pyimgano-{path.replace(' ', '-')})" for path, _ in _leaves(name)]
        lines.append(f"- {title}: {', '.join(links)}")
    return "\n".join(lines) + "\n"


def _leaves(name: str) -> list[tuple[str, Any]]:
    found = list(_with_those_below(_command(name), name))
    return [(path, command) for path, command in found if not getattr(command, "commands", None)]


def _command(name: str) -> Any:
    return build_command(find_commands().owners[name], name)


def _with_those_below(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _with_those_below(below, f"{path} {name}")


def _described(command: Any, path: str) -> Iterator[str]:
    """Yield the parts of a command's section."""
    paragraphs = [text for text in command.help.split("\n\n") if text.strip()]
    examples = [text.partition(": ")[2] for text in paragraphs if text.startswith("Example: ")]
    for text in paragraphs:
        if not text.startswith("Example: "):
            yield _plain(text) + "\n"
    yield "```console\n" + "\n".join(f"$ {example}" for example in examples) + "\n```\n"
    below = getattr(command, "commands", {})
    if below:
        links = [f"[`{name}`](#{f'{path} {name}'.replace(' ', '-')})" for name in below]
        yield f"Commands: {', '.join(links)}.\n"
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        yield "\n".join(["| argument or option | meaning |", "| --- | --- |", *rows]) + "\n"


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    value = parameter.metavar or TYPES.get(parameter.type.name.partition(" ")[0], "")
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    elif not parameter.is_flag and not getattr(parameter, "count", False):
        names += f" `{value}`"
    facts = []
    if parameter.required:
        facts.append("required")
    low, high = getattr(parameter.type, "min", None), getattr(parameter.type, "max", None)
    if low is not None or high is not None:
        facts.append(f"{low:g} to {high:g}" if high is not None else f"at least {low:g}")
    default = parameter.default
    if default is not None and not isinstance(default, bool) and not getattr(parameter, "count", False):
        facts.append(f"default: {default}")
    elif default is True:
        facts.append(f"default: {parameter.opts[0]}")
    if parameter.multiple and "repeat" not in parameter.help.lower():
        facts.append("may be repeated")
    told = f" ({'; '.join(facts)})" if facts else ""
    return f"| {names} | {_plain(parameter.help or '')}{told} |".replace("\n", " ")


def _plain(text: str) -> str:
    """Return a help text as Markdown: rich's escaped brackets as they are, and nothing taken for a tag or a column."""
    text = " ".join(text.split()).replace(r"\[", "[").replace("|", r"\|").replace("*", r"\*")
    return text.replace("<", r"\<")


def main() -> int:
    """Run the command line."""
    return write_or_check(__doc__, {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
