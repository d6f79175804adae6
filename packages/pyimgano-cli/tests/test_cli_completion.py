"""Completion: the answers to each shell's question, and shells that ask for themselves. Takes 15 s."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from pyimgano.cli.completions import PROGRAMS, SHELLS


@pytest.fixture
def ask(cli, monkeypatch):
    """Return ``ask(line, shell="bash")``: what is offered for the last word of a line, as the shell gets it."""

    def asked(line, shell="bash"):
        words = line.split(" ")
        variable = f"_{words[0]}_COMPLETE".replace("-", "_").upper()
        monkeypatch.setenv(variable, f"complete_{shell}")
        if shell == "bash":
            monkeypatch.setenv("COMP_WORDS", line)
            monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        else:
            monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
            monkeypatch.setenv("_TYPER_COMPLETE_WORD_TO_COMPLETE", words[-1])
            monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        program = "main" if words[0] == "pyimgano" else words[0].partition("-")[2].replace("-", "_")
        done = cli(program=program)
        monkeypatch.delenv(variable)
        assert (done.code, done.err) == (0, "")
        return done.out.split("\n")[:-1]

    return asked


@pytest.mark.parametrize(
    ("shell", "offered"),
    [
        ("bash", ["patchcore"]),
        ("zsh", ["""_arguments '*: :(("patchcore":"PatchCore"""]),
        ("fish", ["patchcore\tPatchCore"]),
        ("powershell", ["patchcore:::PatchCore"]),
    ],
)
def test_each_shell_gets_the_answer_in_its_own_form(ask, shell, offered):
    answer = ask("pyimgano models info patch", shell)
    assert len(answer) == 1
    assert answer[0].startswith(offered[0])


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pyimgano mod", ["models"]),
        ("pyimgano runs sh", ["show"]),
        ("pyimgano train --dry", ["--dry-run"]),
        ("pyimgano train --model patch", ["patchcore"]),
        ("pyimgano train --preset hi", ["highres"]),
        ("pyimgano recipes info micro", ["micro-finetune"]),
        ("pyimgano components info threshold/conf", ["threshold/conformal"]),
        ("pyimgano models list --tag class", ["classical"]),
        ("pyimgano benchmark --suite c", ["classical", "cpu"]),
        ("pyimgano benchmark --models patchcore,pad", ["patchcore,padim"]),
        ("pyimgano robust-benchmark --drifts glare,defo", ["glare,defocus"]),
        ("pyimgano synthesize parts --kinds scr", ["scratch"]),
        ("pyimgano datasets inspect parts --format au", ["auto"]),
        ("pyimgano datasets info mv", ["mvtec"]),
        ("pyimgano augment list --tag li", ["light"]),
        ("pyimgano export runs/x --precision fp", ["fp32", "fp16"]),
        ("pyimgano schema run", ["run-config"]),
        ("pyimgano demo --data e", ["elpv"]),
        ("pyimgano plugins info pyimgano-mo", ["pyimgano-models"]),
        ("pyimgano completion z", ["zsh"]),
        ("pyimgano-train --model patch", ["patchcore"]),
        ("pyimgano-infer --format c", ["csv"]),
        ("pyimgano models info xyzzy", [""]),
        ("pyimgano nonsense --mo", [""]),
    ],
)
def test_what_is_quickly_known_is_offered(ask, line, offered):
    assert ask(line) == offered


def test_one_name_of_a_list_is_not_offered_again(ask):
    assert "patchcore,patchcore" not in ask("pyimgano benchmark --models patchcore,")


@pytest.mark.parametrize("line", ["infer --from-run {run}", "runs gate {run}", "export {run}"])
def test_categories_are_those_of_the_run_on_the_line(ask, tmp_path, line):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}", encoding="utf-8")
    categories = [{"name": name, "folder": name} for name in ("screw", "nut", "nail")]
    (run / "report.json").write_text(json.dumps({"categories": categories}), encoding="utf-8")
    typed = "pyimgano " + line.format(run=run.as_posix())
    assert ask(f"{typed} --category n") == ["nail", "nut"]
    assert ask(f"{typed}-that-is-none --category n") == [""]


def test_broken_plugin_says_nothing_into_the_line(process, command):
    command("print('hello')\nraise RuntimeError('no licence')")
    done = process(_PYIMGANO_COMPLETE="complete_bash", COMP_WORDS="pyimgano ", COMP_CWORD="1")
    assert "models" in done.out.split()
    assert "act" not in done.out.split()
    assert (done.code, done.err) == (0, "")


def test_unknown_shell_is_refused_with_those_that_there_are(cli):
    said = "error: unknown shell 'basch'\nallowed: bash, zsh, fish, powershell\nhint: did you mean 'bash'?\n"
    assert cli("completion", "basch") == (2, "", said)


@pytest.mark.parametrize("shell", SHELLS)
def test_script_speaks_for_every_program(cli, shell):
    script = cli("completion", shell).out
    for program in PROGRAMS:
        assert f"_{program}_COMPLETE".replace("-", "_").upper() in script
        assert f"{program} " in script.replace("\n", " ")


# Each asks the function that the script has registered for the program, as the shell does when Tab is pressed.
ASK = {
    "bash": """
source <(pyimgano completion bash)
COMP_WORDS=({line}); COMP_CWORD=$(({count} - 1)); COMPREPLY=()
[[ $(complete -p {program}) =~ -F\\ ([^ ]+) ]]; "${{BASH_REMATCH[1]}}" {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    "zsh": """
typeset -A asked
compdef() {{ asked[$2]=$1 }}
_arguments() {{ print -r -- "${{(@Q)${{(z)1}}}}" | tr '(:"' '\\n' }}
source <(pyimgano completion zsh)
words=({line}); CURRENT={count}; $asked[{program}]
""",
    "fish": "pyimgano completion fish | source\ncomplete -C '{line}'",
}


@pytest.mark.skipif(sys.platform == "win32", reason="scripts have another ending there")
@pytest.mark.parametrize("shell", ASK)
@pytest.mark.parametrize(
    ("line", "offered"), [("pyimgano models info patch", "patchcore"), ("pyimgano-train --dry", "--dry-run")]
)
def test_shell_itself_asks_and_is_answered(tmp_path, shell, line, offered):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    script = tmp_path / "script"
    words = line.split()
    script.write_text(ASK[shell].format(line=line, count=len(words), program=words[0]), encoding="utf-8")
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    env = {**os.environ, "PATH": path, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run([shell, *options, script], env=env, capture_output=True, encoding="utf-8", check=False)
    assert offered in done.stdout.split(), done.stderr
