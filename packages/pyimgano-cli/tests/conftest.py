from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch):
    """Return ``cli(*arguments, program="main")``: runs the command line in this process."""
    monkeypatch.delenv("PYIMGANO_DEBUG", raising=False)
    root, ours = logging.getLogger(), logging.getLogger("pyimgano")
    saved = (list(root.handlers), root.level, ours.level, warnings.showwarning)

    def run(*arguments, program="main"):
        from pyimgano.cli import main

        capsys.readouterr()
        code = getattr(main, program)([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    yield run
    root.handlers[:], warnings.showwarning = saved[0], saved[3]
    root.setLevel(saved[1])
    ours.setLevel(saved[2])


@pytest.fixture
def process():
    """Return ``process(*arguments, **env)``: runs the command line in a process of its own."""

    def run(*arguments, **env):
        done = subprocess.run(
            [sys.executable, "-m", "pyimgano.cli", *arguments],
            env={**os.environ, "COLUMNS": "100", **env},
            capture_output=True,
            encoding=env.get("PYTHONIOENCODING", "utf-8"),
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def command(plug_in):
    """Return ``command(source, name="act")``: plugs in a command whose module is ``source`` and defines ``act``."""

    def install(source, name="act"):
        plug_in("stranger", {"pyimgano.cli": {name: "stranger_commands:act"}}, {"stranger_commands": source})

    return install
