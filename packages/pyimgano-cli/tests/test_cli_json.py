"""Which commands give JSON, and why the others do not."""

from __future__ import annotations

from pyimgano.cli.app import build_command
from pyimgano.cli.discovery import find_commands

WITHOUT = {
    "bundle serve": "its answers are JSON, over HTTP",
    "bundle watch": "its records are JSON lines, in --output",
    "completion": "prints a script for a shell",
}
"""Command → why it has no --json."""


def leaves(command, path):
    """Yield (path, command) of the commands that do something: a group does nothing."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    for name, part in (below or {}).items():
        yield from leaves(part, f"{path} {name}")


def test_every_command_gives_json_or_has_a_reason_not_to():
    own = {name: entry for name, entry in find_commands().owners.items() if not entry.third_party}
    commands = dict(pair for name, entry in own.items() for pair in leaves(build_command(entry, name), name))
    lacking = {path for path, command in commands.items()
               if not any("--json" in parameter.opts for parameter in command.params)}  # fmt: skip
    assert lacking == set(WITHOUT)
