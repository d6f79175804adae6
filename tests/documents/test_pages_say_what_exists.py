"""Commands, options, configs and imports that any page names exist, also where nothing is run. Takes 6 s."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from pyimgano.cli.app import build_app
from pyimgano.core.creation import model_info
from pyimgano.core.errors import PyimganoError
from pyimgano.core.images import write_png
from pyimgano.workbench.config import load_run_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(path for path in ROOT.glob("docs/**/*.md") if "_made" not in path.parts),
    *sorted(ROOT.glob("packages/*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.S | re.M)
MADE_ON_THE_PAGE = {"bolt-check"}
"""Commands of the plugin that docs/extending.md makes."""
USAGE_ERROR = typer.BadParameter.__bases__[0]  # of click, or of what newer releases of typer carry for it

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def fences(page: Path, *languages: str) -> Iterator[tuple[str, str]]:
    """Yield where a fence begins, and its text."""
    source = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(source):
        if fence["language"] in languages:
            line = source.count("\n", 0, fence.start("text")) + 1
            yield f"{page.name}:{line}", fence["text"]


def words_of_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a fence; of one with prompts, of the lines behind them alone."""
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        line = re.sub(r"<\w[^<>]*>", "PLACE", line)  # runs/<run>
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="();&|")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:  # the beginning of a text that goes on, as python -c '
            continue
        command: list[str] = []
        for word in [*words, "&"]:
            if set(word) <= set("();&|"):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def commands(page: Path, program: str) -> list[tuple[str, list[str]]]:
    found = []
    for where, text in fences(page, "bash", "console", "sh"):
        for words in words_of_commands(text):
            while words and re.match(r"\w+=|time$|!$", words[0]):  # NAME=value program
                words = words[1:]
            if words and words[0] == program:
                found.append((where, words[1:]))
    return found


def parse(words: list[str]) -> None:
    """Have the program read the words: commands, options, how many arguments; nothing is carried out."""
    command: Any = build_app()
    while words and words[0].startswith("-"):  # options of the program, none of which takes a value
        assert words[0] in {name for option in command.params for name in option.opts} | {"--help"}, words[0]
        words = words[1:]
    context = command.make_context("pyimgano", ["doctor"])
    while words and hasattr(command, "list_commands"):
        below = command.get_command(context, words[0])
        assert below is not None, f"no command {words[0]!r}"
        command, words = below, words[1:]
    if "--help" not in words:
        command.make_context(command.name, words)


def given(words: list[str]) -> list[str]:
    """Return the words without a redirection, which is the shell's."""
    return list(itertools.takewhile(lambda word: not re.match(r"\d?[<>]", word), words))


@each_page
def test_a_command_has_what_a_page_gives_it(page: Path) -> None:
    wrong = []
    for where, words in commands(page, "pyimgano"):
        told = f"{where}: pyimgano {' '.join(words)}"
        if words and words[0] in MADE_ON_THE_PAGE:
            continue
        try:
            parse([word for word in given(words) if word != "…"])
        except (USAGE_ERROR, AssertionError) as error:
            # … stands for arguments that were told before.
            if not (type(error).__name__ == "MissingParameter" and "…" in words):
                wrong.append(f"{told}: {error}")
    assert not wrong, "\n".join(wrong)


@each_page
def test_a_config_of_a_page_is_one(page: Path, tmp_path: Path) -> None:
    wrong = []
    (tmp_path / "bank").mkdir(exist_ok=True)
    for name in ("roi.png", "bank/chip.png", "bank/chip_mask.png"):  # what the pages' configs name
        write_png(np.full((8, 8), 255, np.uint8), tmp_path / name)
    for where, text in fences(page, "toml", "yaml"):
        if re.search(r"^\[project|^apiVersion:", text, re.M):  # a plugin's pyproject.toml; Kubernetes
            continue
        file = tmp_path / ("run.toml" if "=" in text else "run.yaml")
        file.write_text(text, encoding="utf-8")
        flags = {"dataset.root": tmp_path}
        if "[model]" not in text and "model:" not in text:
            flags["model.name"] = "patchcore"
        try:
            load_run_config(file, flags=flags, check_dataset=False)
        except PyimganoError as error:
            wrong.append(f"{where}: {error}")
    assert not wrong, "\n".join(wrong)


@each_page
def test_a_program_of_a_page_names_what_there_is(page: Path) -> None:
    wrong = []
    for where, text in fences(page, "python"):
        try:
            tree = ast.parse(textwrap.dedent(text))
        except SyntaxError:
            continue  # parts of a file, which test_plugin_template_copy looks for in the file
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("pyimgano"):
                module = importlib.import_module(node.module)
                wrong += [f"{where}: {node.module}.{a.name}" for a in node.names if not hasattr(module, a.name)]
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "create_model":
                name = ast.literal_eval(node.args[0])
                known = model_info(name)["parameters"]
                wrong += [f"{where}: {name} has no {k.arg}" for k in node.keywords if known and k.arg not in known]
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_on_a_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"

    def write(language: str, text: str) -> None:
        page.write_text(f"```{language}\n{text}\n```\n", encoding="utf-8")

    for text, found in (
        ("pyimgano train --datasets parts", "--datasets"),
        ("A=1 time pyimgano runs compares A B && true", "compares"),
        ("pyimgano train --dataset parts \\\n    --modell patchcore > log", "--modell"),
    ):
        write("bash", text)
        with pytest.raises(AssertionError, match=found):
            test_a_command_has_what_a_page_gives_it(page)
    write("toml", "[calibration]\nalfa = 0.05")
    with pytest.raises(AssertionError, match=r"page.md:2: [^#]*calibration.alfa: unknown key"):
        test_a_config_of_a_page_is_one(page, tmp_path)
    for text, found in (
        ("from pyimgano.models import make_model", "pyimgano.models.make_model"),
        ("create_model('patchcore', coreset_ratio=0.1)", "patchcore has no coreset_ratio"),
    ):
        write("python", text)
        with pytest.raises(AssertionError, match=found):
            test_a_program_of_a_page_names_what_there_is(page)
