"""Every failure is a plain message on stderr and a documented exit status; a traceback only with --debug."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

RAISES = "from pyimgano.core import errors\ndef act() -> None:\n    raise {}\n"
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGINT for a child nor /dev/full")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            "errors.ConfigError('unknown key', where='run.toml:3:1', allowed=['seed'], hint='did you mean seed?')",
            2,
            "error: run.toml:3:1: unknown key\nallowed: seed\nhint: did you mean seed?\n",
        ),
        ("errors.DatasetError('no images')", 4, "error: no images\n"),
        ("errors.MissingDependencyError('needs torch', hint='pip install torch')", 3, "hint: pip install torch\n"),
        ("errors.RunError('incomplete')", 5, "error: incomplete\n"),
        ("errors.PyimganoError('cannot write')", 1, "error: cannot write\n"),
        ("MemoryError()", 71, "error: out of memory\nhint: "),
        ("OSError(28, 'No space left on device', '/data/x.png')", 74, "error: /data/x.png: No space left on device\n"),
        ("PermissionError(13, 'Permission denied', 'runs')", 74, "error: runs: Permission denied\nhint: choose"),
        ("ZeroDivisionError('division by zero')", 70, "error: unexpected ZeroDivisionError: division by zero\nhint: "),
        ("ValueError('one line\\nand another')", 70, "error: unexpected ValueError: one line\nhint: "),
        ("KeyboardInterrupt()", 130, "interrupted\n"),
        ("__import__('typer').Exit(9)", 9, ""),
        ("__import__('typer').BadParameter('too small')", 2, "error: invalid value: too small\n"),
        ("__import__('typer').Abort()", 130, "interrupted\n"),
    ],
)
def test_failure_is_plain_text_and_a_status(cli, command, raised, code, said):
    command(RAISES.format(raised))
    done = cli("act")
    assert done.code == code
    assert done.out == ""
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("act", "--debug"), ("--debug", "act")])
def test_debug_shows_the_traceback_wherever_it_stands(cli, command, arguments):
    command(RAISES.format("ZeroDivisionError('here')"))
    done = cli(*arguments)
    assert done.code == 70
    assert "Traceback (most recent call last)" in done.err
    assert "stranger_commands.py" in done.err
    assert done.err.endswith("error: unexpected ZeroDivisionError: here\n")


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_environment_variable_shows_the_traceback(cli, command, monkeypatch, value, shown):
    command(RAISES.format("errors.DatasetError('here')"))
    monkeypatch.setenv("PYIMGANO_DEBUG", value)
    done = cli("act")
    assert ("Traceback" in done.err) == shown
    assert done.err.endswith("error: here\n")


def test_debug_after_two_dashes_is_an_argument(cli, command):
    command("def act(word: str) -> None:\n    print(word)")
    assert cli("act", "--", "--debug").out == "--debug\n"


def test_memory_that_does_not_exist_is_a_plain_error(process, command):
    command("def act() -> None:\n    bytearray(1 << 62)")
    done = process("act")
    assert done.code == 71
    assert done.err.startswith("error: out of memory")


def test_system_exit_of_a_command_keeps_its_status(process, command):
    command("import sys\ndef act() -> None:\n    sys.exit(9)")
    assert process("act").code == 9


def start(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "pyimgano.cli", *arguments], stderr=subprocess.PIPE, **options)


@POSIX_ONLY
@pytest.mark.parametrize("lines", [1, 100_000], ids=["at-the-last-flush", "while-writing"])
def test_reader_that_goes_away_ends_the_command_quietly(command, lines):
    command(f"import sys\ndef act() -> None:\n    sys.stdin.read()\n    for i in range({lines}): print('line', i)")
    process = start("act", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


@POSIX_ONLY
def test_head_gets_its_lines_and_nothing_is_said():
    script = f"{sys.executable} -m pyimgano.cli plugins list --json | head -n 1"
    env = {**os.environ, "PYIMGANO_PLUGINS": "none"}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.stdout == "[\n"
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("lines", [1, 100_000], ids=["at-the-last-flush", "while-writing"])
def test_full_disk_behind_stdout_is_a_plain_error(command, lines):
    command(f"def act() -> None:\n    for i in range({lines}): print('line', i)")
    with open("/dev/full", "wb") as full:
        process = start("act", stdout=full)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 74
    assert said.decode().startswith("error: No space left on device\nhint: free some space")
    assert b"Traceback" not in said
    assert b"Exception ignored" not in said


@POSIX_ONLY
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_output_is_no_crash(closed):
    script = f"{sys.executable} -m pyimgano.cli models list --tag nonsense {closed}"
    assert subprocess.run(["sh", "-c", script], capture_output=True, check=False).returncode == 2


@POSIX_ONLY
def test_interrupt_ends_with_its_own_status_and_no_traceback(command):
    command("import time\ndef act() -> None:\n    print('ready', flush=True)\n    time.sleep(60)")
    process = start("act", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == b"interrupted\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_text_that_the_terminal_cannot_show_is_escaped(process, plug_in, encoding):
    spec = "from pyimgano.core.specs import ModelSpec\nMODELS = [ModelSpec('kanji', 'Größe 漢字', 'json:loads')]"
    plug_in("stranger", {"pyimgano.models": {"x": "stranger_specs:MODELS"}}, {"stranger_specs": spec})
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYIMGANO_PLUGINS": "stranger"}
    as_json = process("models", "info", "kanji", "--json", **env)
    assert as_json.code == 0, as_json.err
    assert json.loads(as_json.out)["summary"] == "Größe 漢字"
    info = process("models", "info", "kanji", **env)
    assert info.code == 0
    assert "\\u6f22" in info.out


def test_documented_statuses_are_those_of_the_code():
    from pathlib import Path

    from pyimgano.cli import failures
    from pyimgano.core import errors

    used = {getattr(errors, name).exit_code for name in errors.__all__} | {0}
    used |= {value for value in vars(failures).values() if isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^(\d+)  ", failures.__doc__, re.MULTILINE)} == used
    guide = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", guide, re.MULTILINE)} == used
