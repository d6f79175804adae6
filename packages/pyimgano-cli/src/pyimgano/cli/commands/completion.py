"""``pyimgano completion``: the script by which a shell completes commands, options and names."""

from __future__ import annotations

import typer

__all__ = ["completion"]


def _shells(incomplete: str) -> list[str]:
    from pyimgano.cli.completions import SHELLS

    return [shell for shell in SHELLS if shell.startswith(incomplete)]


def completion(
    shell: str = typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.", autocompletion=_shells),
) -> None:
    """Print the script by which a shell completes what is typed.

    Commands, options, models, presets, the categories of a run, and other names. Load it where the shell starts, and
    open a new one:

    bash, in ~/.bashrc: source <(pyimgano completion bash)

    zsh, in ~/.zshrc, below compinit: source <(pyimgano completion zsh)

    fish, in ~/.config/fish/config.fish: pyimgano completion fish | source

    PowerShell, in $PROFILE: pyimgano completion powershell | Out-String | Invoke-Expression

    Example: pyimgano completion bash
    """
    from pyimgano.cli.completions import SHELLS, completion_script
    from pyimgano.cli.output import print_text
    from pyimgano.core.errors import UnknownNameError
    from pyimgano.core.names import unknown_name_hint

    if shell not in SHELLS:
        hint = unknown_name_hint(shell, SHELLS)
        raise UnknownNameError(f"unknown shell {shell!r}", allowed=", ".join(SHELLS), hint=hint)
    print_text(completion_script(shell))
