"""On a terminal: colours that can be switched off, and tables that fit. Takes 10 s."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals for a test to read", allow_module_level=True)

import fcntl
import struct
import termios

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38;[\d;]+)(?:;\d+)*m")
ESCAPE = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")


@pytest.fixture
def on_terminal(monkeypatch):
    """Return ``on_terminal(*arguments, columns=80, **env)``: what a terminal of that width is sent."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, columns=80, **env):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        known = {"PYIMGANO_PLUGINS": "none", "TERM": "xterm-256color"}
        process = subprocess.Popen(
            [sys.executable, "-m", "pyimgano.cli", *arguments],
            env={**os.environ, **known, **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        sent = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            sent += part
        os.close(ours)
        process.wait()
        return sent.decode().replace("\r\n", "\n")

    return run


SPOKEN = [("models", "lsit"), ("cache", "--help"), ("augment", "list", "--tag", "optics")]


@pytest.mark.parametrize("arguments", SPOKEN, ids=" ".join)
def test_colours_are_there_and_can_be_switched_off(on_terminal, arguments):
    assert COLOUR.search(on_terminal(*arguments, columns=200))
    assert not COLOUR.search(on_terminal(*arguments, columns=200, NO_COLOR="1"))
    assert not ESCAPE.search(on_terminal(*arguments, columns=200, TERM="dumb"))


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        (("components", "list", "--tag", "light"), 40),
        (("augment", "list"), 64),
        (("schema",), 40),
    ],
)
def test_table_fits_the_terminal_and_cuts_nothing(on_terminal, cli, arguments, columns):
    text = ESCAPE.sub("", on_terminal(*arguments, columns=columns))
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    names = [line.split()[0] for line in cli(*arguments).out.splitlines()]
    assert names
    first = [line.split()[0] for line in text.splitlines() if line[:1].strip()]
    assert set(names) <= set(first)


def test_cells_stand_below_each_other_where_a_table_is_too_wide(on_terminal):
    text = ESCAPE.sub("", on_terminal("augment", "list", "--tag", "optics", columns=26))
    assert text.startswith("defocus\n  summary: The part lies\n")
    assert "  tags: optics\n\n" in text
