"""The root: help, names, aliases, options that may stand anywhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pyimgano.core import __version__

WORKFLOW = ("demo", "init", "synthesize", "train", "benchmark", "robust-benchmark", "infer", "runs", "export", "bundle")
CATALOGUE = ("models", "recipes", "datasets", "augment", "components", "plugins")
ALIASES = {
    "train": "pyimgano-train",
    "benchmark": "pyimgano-benchmark",
    "robust_benchmark": "pyimgano-robust-benchmark",
    "infer": "pyimgano-infer",
}


def panels(text):
    """Return panel title → names of commands, as the help shows them."""
    found = {}
    title = None
    for line in text.splitlines():
        plain = line.strip("│|╭╮╰╯─+- ")
        if line.startswith(("╭", "+-")):
            title = plain.strip()
        elif title and line.startswith(("│ ", "| ")) and line[2:3] not in (" ", "-", ""):
            found.setdefault(title, []).append(plain.split()[0])
    return found


def test_help_groups_all_commands(process):
    done = process("--help")
    assert done.code == 0
    assert done.err.strip() in ("", "acme_broken says hello")  # that plugin prints while it is imported
    shown = panels(done.out)
    assert tuple(shown["Workflow"]) == WORKFLOW
    assert tuple(shown["Catalogue"]) == CATALOGUE
    assert tuple(shown["Environment"]) == ("doctor", "cache", "schema", "completion")
    assert "not available" not in done.out.partition("Plugins")[0]


def test_short_help_option_works_everywhere(cli):
    for arguments in (["-h"], ["models", "-h"], ["models", "list", "-h"]):
        done = cli(*arguments)
        assert done.code == 0
        assert "Usage: pyimgano" in done.out


def test_version_is_that_of_core(cli):
    assert cli("--version") == (0, f"pyimgano {__version__}\n", "")


def test_nothing_typed_shows_the_help_and_is_no_success(cli):
    done = cli()
    assert done.code == 2
    assert "Usage: pyimgano" in done.out


def test_unknown_command_suggests_close_names(cli):
    done = cli("modles", "list")
    assert done == (2, "", "error: unknown command 'modles'\nhint: did you mean 'models'? see: pyimgano --help\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("models lsit", "error: unknown command 'lsit'\nhint: did you mean 'list'? see: pyimgano models --help\n"),
        ("runs shwo x", "error: unknown command 'shwo'\nhint: did you mean 'show'? see: pyimgano runs --help\n"),
        ("bundle xyzzy", "error: unknown command 'xyzzy'\nhint: see: pyimgano bundle --help\n"),
        (
            "models list --tga x",
            "error: no such option '--tga'\nhint: did you mean '--tag'? see: pyimgano models list --help\n",
        ),
        (
            "train --confg x",
            "error: no such option '--confg'\nhint: did you mean '--config'? see: pyimgano train --help\n",
        ),
        (
            "train --dry_run",
            "error: no such option '--dry_run'\nhint: did you mean '--dry-run'? see: pyimgano train --help\n",
        ),
        ("--versoin", "error: no such option '--versoin'\nhint: did you mean '--version'? see: pyimgano --help\n"),
        ("train --xyzzy", "error: no such option '--xyzzy'\nhint: see: pyimgano train --help\n"),
    ],
)
def test_unknown_name_suggests_close_ones(cli, arguments, said):
    assert cli(*arguments.split()) == (2, "", said)


def test_group_of_a_plugin_suggests_close_names_too(cli, command):
    command("import typer\nact = typer.Typer()\n@act.command()\ndef first(): ...\n@act.command()\ndef second(): ...")
    assert "did you mean 'first'?" in cli("act", "fisrt").err


@pytest.mark.parametrize("program", ALIASES)
def test_alias_is_the_command_under_its_own_name(cli, program):
    command = program.replace("_", "-")
    alias = cli("--help", program=program)
    plain = cli(command, "--help")
    assert alias.code == plain.code == 0
    assert f"Usage: {ALIASES[program]} " in alias.out
    assert alias.out.replace(ALIASES[program], f"pyimgano {command}").split() == plain.out.split()


@pytest.mark.parametrize("program", ALIASES)
def test_alias_refuses_unknown_options_under_its_own_name(cli, program):
    done = cli("--no-such-option", program=program)
    assert done.code == 2
    assert f"see: {ALIASES[program]} --help" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="scripts have another ending there")
@pytest.mark.parametrize("program", ["main", *ALIASES])
def test_programs_are_installed(program):
    script = os.path.join(os.path.dirname(sys.executable), ALIASES.get(program, "pyimgano"))
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Usage: {ALIASES.get(program, 'pyimgano')} " in done.stdout


def test_function_becomes_a_command_with_its_docstring_as_help(cli, command):
    command(
        'def act(count: int, shout: bool = False) -> None:\n    """Count.\n\n    Aloud."""\n    print(count, shout)'
    )
    assert cli("act", "3", "--shout").out == "3 True\n"
    assert "Count." in cli("act", "--help").out
    assert "Aloud." in cli("act", "--help").out
    assert "Count." in cli("--help").out
    assert "Aloud." not in cli("--help").out


def test_typer_app_becomes_a_group_of_commands(cli, command):
    command(
        "import typer\nact = typer.Typer(help='Acts.')\n"
        "@act.command()\ndef one(): print(1)\n@act.command('two')\ndef second(): print(2)"
    )
    assert cli("act", "two").out == "2\n"
    assert "Acts." in cli("--help").out
    assert "two" in cli("act", "--help").out
    assert "--install-completion" not in cli("act", "--help").out


def test_asking_for_one_command_imports_no_other(process, plug_in):
    plug_in("loud", {"pyimgano.cli": {"loud": "loud_commands:act"}}, {"loud_commands": "raise SystemExit('imported')"})
    done = process("models", "list", "--names", PYIMGANO_PLUGINS="loud")
    assert done.code == 0
    assert "imported" not in done.err


def test_markup_in_the_reason_of_a_failure_is_shown_as_it_is(cli, command):
    command("raise RuntimeError('pip install \"x[lite]\"')")
    assert "x[lite]" in "".join(cli("--help").out.replace("│", " ").split())


def test_what_a_plugin_prints_while_it_is_imported_stays_out_of_the_data(cli, command):
    command("print('hello')\ndef act() -> None:\n    print('data')")
    assert cli("act") == (0, "data\n", "hello\n")


def test_failing_command_is_one_line_in_the_help_and_an_error_when_called(cli, command):
    command("raise RuntimeError('no licence')")
    done = cli("--help")
    assert done.code == 0
    assert "not available: RuntimeError: no licence" in " ".join(done.out.replace("│", " ").split())
    done = cli("act")
    assert done.code == 3
    assert "error: command 'act' of stranger: is installed but broken: RuntimeError: no licence" in done.err
    assert "Traceback" not in done.err


def test_command_of_an_absent_first_party_distribution_says_what_to_install(cli, monkeypatch, plug_in):
    table = {"pyimgano.cli": (("pyimgano-absent", "train", "pyimgano.absent.commands.train:train"),)}
    monkeypatch.setattr("pyimgano.core.plugins.FIRST_PARTY", table)
    plug_in("nothing")  # forgets what was found with the real table
    done = cli("train", "--config", "x.toml")
    assert done.code == 3
    assert done.err == (
        "error: the command 'train' needs pyimgano-absent, which is not installed\nhint: pip install pyimgano-absent\n"
    )
    assert "not available: pyimgano-absent is not installed (pip install pyimgano-absent)" in " ".join(
        cli("--help").out.replace("│", " ").split()
    )


def test_taken_command_name_stays_with_its_owner_and_the_loser_is_reachable(cli, command):
    command("def act() -> None:\n    print('the stranger')", name="models")
    assert "the stranger" not in cli("models", "list", "--names").out
    assert cli("stranger:models").out == "the stranger\n"
    assert "Usage: pyimgano stranger:models" in cli("stranger:models", "--help").out


@pytest.mark.parametrize("noun", ["models", "recipes", "datasets"])
def test_list_options_equal_the_list_commands(cli, noun):
    names = cli(f"--list-{noun}")
    assert names.code == 0
    as_json = cli(f"--list-{noun}", "--json")
    assert as_json.out == cli("--json", f"--list-{noun}").out
    assert names.out == cli(noun, "list", "--names").out
    assert as_json.out == cli(noun, "list", "--json").out


def test_list_plugins_option_names_the_distributions(cli):
    assert cli("--list-plugins").out == cli("plugins", "list", "--names").out
    assert cli("--list-plugins", "--json").out == cli("plugins", "list", "--json").out
    assert "pyimgano-cli" in cli("--list-plugins").out.splitlines()


def test_list_option_comes_before_any_command(cli, command):
    command("def act() -> None:\n    print('acted')")
    assert "acted" not in cli("--list-models", "act").out


def test_json_without_a_listing_is_refused(cli):
    done = cli("--json")
    assert done.code == 2
    assert "pyimgano --list-models --json" in done.err


SPEAKS = """
import logging, warnings
log = logging.getLogger("pyimgano.part")
def act() -> None:
    log.debug("detail"); log.info("progress"); log.warning("careful")
    logging.getLogger("other.library").info("chatter")
    warnings.warn("this may surprise you")
    print("data")
"""


@pytest.mark.parametrize(
    ("options", "said", "unsaid"),
    [
        (["-q"], ["warning: careful", "warning: this may surprise you"], ["progress", "detail", "chatter"]),
        ([], ["progress", "warning: careful"], ["detail", "chatter"]),
        (["-v"], ["pyimgano.part: detail", "pyimgano.part: progress"], ["chatter"]),
        (["-vv"], ["detail", "other.library: chatter"], []),
    ],
)
def test_verbosity_decides_what_stderr_gets_and_stdout_is_for_data(process, command, options, said, unsaid):
    command(SPEAKS)
    done = process(*options, "act")
    assert done.code == 0
    assert done.out == "data\n"
    for text in said:
        assert text in done.err
    for text in unsaid:
        assert text not in done.err
