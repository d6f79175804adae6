"""The help of every command: a screen, an example that the command takes, any width of terminal. Takes 10 s."""

from __future__ import annotations

import re
import shlex

import pytest

from pyimgano.cli.app import build_command
from pyimgano.cli.discovery import find_commands

LINES, COLUMNS = 50, 100
"""A screen."""

WIDTHS = (40, 64, 80, 100, 200)


def with_those_below(command, path):
    """Yield (path, command) of a command and all below it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from with_those_below(below, (*path, name))


OWN = {name: entry for name, entry in find_commands().owners.items() if not entry.third_party}
EVERY = {path: command for name, entry in OWN.items()
         for path, command in with_those_below(build_command(entry, name), (name,))}  # fmt: skip
LEAVES = {path: command for path, command in EVERY.items() if not hasattr(command, "commands")}


def options_of(command):
    return [name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
            if name.startswith("-")]  # fmt: skip


@pytest.fixture
def help_of(cli, monkeypatch):
    """Return ``help_of(path, columns)``."""
    monkeypatch.setenv("PYIMGANO_PLUGINS", "none")
    find_commands.cache_clear()

    def read(path, columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        done = cli(*path, "--help")
        assert (done.code, done.err) == (0, "")
        return done.out

    yield read
    find_commands.cache_clear()


@pytest.mark.parametrize("path", [(), *EVERY], ids=" ".join)
def test_help_fits_a_screen_and_has_an_example(help_of, path):
    text = help_of(path, COLUMNS)
    assert len(text.rstrip().splitlines()) <= LINES
    assert "Example: pyimgano" in text


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_the_command_takes_its_example(path):
    command = LEAVES[path]
    (example,) = re.findall(r"^Example: (.*)$", command.help, re.M)
    program, *words = shlex.split(example)
    assert (program, *words[: len(path)]) == ("pyimgano", *path)
    with command.make_context(path[-1], words[len(path) :]) as context:  # parsed as it would be, and not called
        assert context.args == []


@pytest.mark.parametrize("path", [path for path in EVERY if path not in LEAVES], ids=" ".join)
def test_the_example_of_a_group_is_one_of_its_commands(path):
    (example,) = re.findall(r"^Example: (.*)$", EVERY[path].help, re.M)
    program, *words = shlex.split(example)
    assert (program, *words[: len(path)]) == ("pyimgano", *path)
    below = (*path, words[len(path)])
    with LEAVES[below].make_context(below[-1], words[len(below) :]) as context:
        assert context.args == []


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_no_name_is_cut(help_of, columns):
    for path in [(), *EVERY]:
        text = help_of(path, columns)
        wide = [line for line in text.splitlines() if len(line) > columns]
        assert wide == [], path
        if path:
            below = getattr(EVERY[path], "commands", {})
            assert [name for name in (*options_of(EVERY[path]), *below) if name not in text] == [], path
        else:
            assert [name for name in OWN if name not in text] == []


def test_paragraphs_are_broken_by_the_terminal_alone(cli, command, monkeypatch):
    text = "Act.\n\n    One paragraph\n    of two lines.\n\n    \\b\n    As it\n    is.\n"
    command(f'def act() -> None:\n    """{text}    """')
    monkeypatch.setenv("COLUMNS", "100")
    text = cli("act", "--help").out
    assert "One paragraph of two lines." in text
    assert re.search(r"As it *\n *is\.", text)


def test_narrow_help_shows_brackets_and_no_markup(cli, command, monkeypatch):
    command('def act() -> None:\n    r"""Install [bold]x\\[extra][/bold]."""')
    monkeypatch.setenv("COLUMNS", "40")
    assert "Install x[extra]." in cli("act", "--help").out
