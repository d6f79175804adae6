"""Completion by the shell: the protocol between a shell and the programs, and the values that are offered.

A shell asks by running the program with a variable of its name set, e.g. ``_PYIMGANO_COMPLETE=complete_bash``. typer
reads what was typed, in the form of each shell, and answers on stdout. A script, which ``pyimgano completion`` prints,
teaches the shell to ask. Where nothing is offered, the shell offers files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, Callable

__all__ = ["PROGRAMS", "SHELLS", "answer", "asked", "completion_script", "distributions", "names_of", "tags_of"]

SHELLS = ("bash", "zsh", "fish", "powershell")
PROGRAMS = ("pyimgano", "pyimgano-train", "pyimgano-benchmark", "pyimgano-robust-benchmark", "pyimgano-infer")

Values = Callable[[str], list[tuple[str, str]]]


def _variable(program: str) -> str:
    return f"_{program}_COMPLETE".replace("-", "_").upper()


def asked(program: str) -> bool:
    """Tell whether a shell asks ``program`` to complete a command line."""
    return bool(os.environ.get(_variable(program)))


def answer(command: Any, program: str) -> int:
    """Answer a shell's question on stdout, and return the exit status.

    Nothing goes to stderr, not even what broken plugins say: it would stand in the middle of what is being typed.
    """
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            command.main(args=[], prog_name=program, help_option_names=["--help", "-h"])
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except Exception:  # whatever fails, the person at the prompt goes on typing
            return 1
    return 0


def completion_script(shell: str) -> str:
    """Return the script that makes one of :data:`SHELLS` ask the :data:`PROGRAMS`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return "\n\n".join(
        get_completion_script(prog_name=program, complete_var=_variable(program), shell=shell) for program in PROGRAMS
    )


def names_of(noun: str) -> Values:
    """Return what completes the name of a model, recipe, dataset or component."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        from pyimgano.cli.commands.listings import REGISTRIES

        return REGISTRIES[noun].beginning_with(incomplete)

    return complete


def tags_of(noun: str) -> Callable[[str], Sequence[str]]:
    """Return what completes a tag of models, recipes, datasets or components."""

    def complete(incomplete: str) -> list[str]:
        from pyimgano.cli.commands.listings import REGISTRIES, searchable_tags

        known = {tag for entry in REGISTRIES[noun].entries() for tag in searchable_tags(entry.spec)}
        return sorted(tag for tag in known if tag.startswith(incomplete))

    return complete


def distributions(incomplete: str) -> list[str]:
    """Return the distributions that offer something and whose name begins with what was typed."""
    from pyimgano.cli.discovery import find_commands
    from pyimgano.core.plugins import GROUPS, entry_points

    found = {entry.distribution for group in GROUPS for entry in entry_points(group)}
    found |= {entry.distribution for entry in find_commands().owners.values()}
    return sorted(name for name in found if name.startswith(incomplete))
