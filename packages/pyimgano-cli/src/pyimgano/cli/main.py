"""The programs: ``pyimgano``, and one for each of the commands that are typed most."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Optional

__all__ = ["benchmark", "infer", "main", "robust_benchmark", "train"]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run ``pyimgano`` and return its exit status (see :mod:`pyimgano.cli.failures`).

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; ``sys.argv[1:]`` by default.
    """
    return _run("pyimgano", None, arguments)


def train(arguments: Optional[Sequence[str]] = None) -> int:
    """Run ``pyimgano train``."""
    return _run("pyimgano-train", "train", arguments)


def benchmark(arguments: Optional[Sequence[str]] = None) -> int:
    """Run ``pyimgano benchmark``."""
    return _run("pyimgano-benchmark", "benchmark", arguments)


def robust_benchmark(arguments: Optional[Sequence[str]] = None) -> int:
    """Run ``pyimgano robust-benchmark``."""
    return _run("pyimgano-robust-benchmark", "robust-benchmark", arguments)


def infer(arguments: Optional[Sequence[str]] = None) -> int:
    """Run ``pyimgano infer``."""
    return _run("pyimgano-infer", "infer", arguments)


def _run(program: str, command: Optional[str], arguments: Optional[Sequence[str]]) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug, given = _take_debug(given)
    if not debug:
        # An unreadable image is told once, by its record; OpenCV reads this when it is imported.
        os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    try:
        try:
            status = _invoke(program, command, given)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where its failure can still be told
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        from pyimgano.cli.failures import report

        return report(error, debug=debug)
    return status


def _take_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Take ``--debug`` out of the arguments: it may stand anywhere, since people add it to the end of what failed."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    left = [argument for argument in arguments[:end] if argument != "--debug"]
    asked = len(left) < end
    if not asked:
        asked = os.environ.get("PYIMGANO_DEBUG", "").strip().lower() not in ("", "0", "false", "no", "off")
    return asked, left + arguments[end:]


def _invoke(program: str, command: Optional[str], arguments: list[str]) -> int:
    import typer

    from pyimgano.cli import app
    from pyimgano.cli.completions import answer, asked

    if command is None:
        root: Any = app.build_app()
    else:
        from pyimgano.cli.discovery import find_commands
        from pyimgano.cli.output import configure_logging

        configure_logging(0)
        root = app.build_command(find_commands().owners[command], command)
    if asked(program):
        return answer(root, program)
    try:
        with root.make_context(program, arguments, help_option_names=["--help", "-h"]) as context:
            root.invoke(context)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
    return 0
