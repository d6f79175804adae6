"""Start-up of the command line."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.bare import TYPER_APP
from benchmarks.measure import ChildError, alternate, child_environment, median, time_command
from benchmarks.results import Options, Outcome, Row

HELP_GOAL = 1.25
PEER_GOAL = 30.0
LIST_GOAL = 1.5
HEAVY = ("numpy", "pydantic", "torch", "cv2", "sklearn", "scipy")


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Rows for ``--help`` beside a bare typer app and beside the peer, and for ``models list``.
    """
    rounds = 5 if options.quick else 21
    pyimgano, anomalib = _script("pyimgano"), _script("anomalib")
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-cli-") as folder:
        app = Path(folder, "bare_app.py")
        app.write_text(TYPER_APP, encoding="utf-8")
        commands = {
            "bare": [sys.executable, str(app), "--help"],
            "bare, run": [sys.executable, str(app)],
            "help": [pyimgano, "--help"],
            "models list": [pyimgano, "models", "list"],
        }
        # Once each before anything counts: this leaves the byte code in the caches on both sides.
        for command in [*commands.values(), [anomalib, "--help"]]:
            time_command(command, threads=options.threads)
        times = alternate(
            {name: partial(time_command, command, threads=options.threads) for name, command in commands.items()},
            rounds,
        )
        beside = alternate(
            {
                "help beside anomalib": lambda: time_command(commands["help"], threads=options.threads),
                "anomalib": lambda: time_command([anomalib, "--help"], threads=options.threads),
            },
            2 if options.quick else 5,
        )
        loaded = {name: _imports(command, options) for name, command in commands.items()}
    times.update(beside)
    seconds = {name: median(values) for name, values in times.items()}
    help_row = Row(
        name="`pyimgano --help`, beside a bare typer app",
        ours=f"{1e3 * seconds['help']:.0f} ms",
        other=f"{1e3 * seconds['bare']:.0f} ms",
        ratio=f"{seconds['help'] / seconds['bare']:.2f}×",
        goal=f"≤ {HELP_GOAL}×",
        passed=seconds["help"] / seconds["bare"] <= HELP_GOAL,
        method=f"beside it: `--help` of a file with `typer.Typer()` and one command. Both with byte code in the caches,"
        f" median of {rounds}. Heavy modules loaded by pyimgano: {_names(loaded['help'])}.",
    )
    peer_row = Row(
        name="`pyimgano --help`, beside `anomalib --help`",
        ours=f"{1e3 * seconds['help beside anomalib']:.0f} ms",
        other=f"{seconds['anomalib']:.1f} s",
        ratio=f"{seconds['anomalib'] / seconds['help beside anomalib']:.1f}× faster",
        goal=f"≥ {PEER_GOAL:.0f}×",
        passed=seconds["anomalib"] / seconds["help beside anomalib"] >= PEER_GOAL,
        method="both: the installed console script, byte code in the caches.",
    )
    list_row = Row(
        name="`pyimgano models list`, beside `pyimgano --help`",
        ours=f"{1e3 * seconds['models list']:.0f} ms",
        other=f"{1e3 * seconds['help']:.0f} ms",
        ratio=f"{seconds['models list'] / seconds['help']:.2f}×",
        goal=f"≤ {LIST_GOAL}×, without {HEAVY[0]} or {HEAVY[1]}",
        passed=seconds["models list"] / seconds["help"] <= LIST_GOAL
        and not {"numpy", "pydantic"} & set(loaded["models list"]),
        method=f"the two commands in turn; {seconds['models list'] / seconds['bare']:.2f}× the bare typer app's"
        f" `--help`, {seconds['models list'] / seconds['bare, run']:.2f}× its one command"
        f" ({1e3 * seconds['bare, run']:.0f} ms)."
        f" Heavy modules loaded by `models list`: {_names(loaded['models list'])};"
        f" by the bare typer app's one command: {_names(loaded['bare, run'])}.",
    )
    return Outcome([help_row, peer_row, list_row], {"seconds": times, "heavy modules": loaded})


def _script(name: str) -> str:
    """Return the console script of this interpreter's environment."""
    folder = Path(sysconfig.get_path("scripts"))
    for candidate in (folder / name, folder / f"{name}.exe"):
        if candidate.is_file():
            return str(candidate)
    raise ChildError(f"the command {name} is not installed beside this interpreter")


def _imports(command: list[str], options: Options) -> list[str]:
    """Return which heavy packages a command imports, as the interpreter itself reports it."""
    done = subprocess.run(
        command,
        env=child_environment(options.threads, {"PYTHONPROFILEIMPORTTIME": "1"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    modules = set(re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s*(\w+)", done.stderr.decode("utf-8", "replace"), re.M))
    if "typer" not in modules:
        raise ChildError("the interpreter did not report its imports")
    return sorted(modules & set(HEAVY))


def _names(modules: list[str]) -> str:
    """Return modules as text."""
    return ", ".join(modules) if modules else f"none of {', '.join(HEAVY)}"
