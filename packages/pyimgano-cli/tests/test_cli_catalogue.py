"""Listings and what `info` tells, with plugins that are well, lack something, or are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SPECS = """
from pyimgano.core.specs import ComponentSpec, ModelSpec, RecipeSpec, Requirement
MODELS = [
    ModelSpec(
        "aaa-model", "A model with a summary that is much longer than a narrow terminal is wide, by far and away",
        "stranger_factory:Model", tags=("fast", "pixel"), pixel_map=True, export=("onnx",), paper="A. Author, 2020",
    ),
    ModelSpec(
        "aab-needs", "A model that lacks something", "stranger_factory:Model", tags=("fast",),
        requires=(Requirement("json", "json-itself"), Requirement("absent_backend", "some-models", "quick")),
    ),
    ModelSpec("aac-broken", "A model that is broken", "stranger_broken:Model", tags=("odd",)),
]
RECIPES = [
    RecipeSpec("aaa-recipe", "A recipe", "stranger_factory:RECIPE", presets=("quick", "thorough")),
    RecipeSpec("aab-recipe", "A recipe that explains", "stranger_factory:Explaining", presets=("quick", "thorough")),
]
COMPONENTS = [ComponentSpec("aaa-sink", "A sink", "stranger_factory:Sink", kind="sink")]
"""
FACTORY = '''
class Model:
    """A model.

    Parameters
    ----------
    size : int
        Side of the square,
        in pixels.
    alpha, beta : float
        Two weights, see :func:`~stranger.factory` and ``size``.
    """

    def __init__(self, size: int = 32, *, alpha: float, beta: float = 0.5, layers=("a", "b")) -> None:
        pass


class Recipe:
    def run(self, config, run):
        return None


RECIPE = Recipe()


class Explaining(Recipe):
    presets = {"quick": {"model": {"name": "aaa-model", "params": {"size": 8}}}, "thorough": {}}

    @classmethod
    def describe_preset(cls, preset):
        return {
            "summary": f"For those who want it {preset}.",
            "stages": ["Look.", "Say."],
            "settings": cls.presets[preset],
            "calibration": "by lot",
            "measured": [{"text": "AUROC 0.5", "source": "runs/one.json"}],
        }


def Sink() -> None:
    """Takes nothing."""
'''


@pytest.fixture
def stranger(plug_in, monkeypatch):
    """Only this plugin's entries beside the first-party ones."""
    monkeypatch.setenv("PYIMGANO_PLUGINS", "stranger")
    return plug_in(
        "stranger",
        {
            "pyimgano.models": {"x": "stranger_specs:MODELS"},
            "pyimgano.recipes": {"x": "stranger_specs:RECIPES"},
            "pyimgano.components": {"x": "stranger_specs:COMPONENTS"},
        },
        {"stranger_specs": SPECS, "stranger_factory": FACTORY, "stranger_broken": "raise RuntimeError('no licence')"},
    )


def test_list_gives_one_whole_line_per_entry_when_piped(cli, stranger):
    lines = cli("models", "list").out.splitlines()
    (line,) = (line for line in lines if line.startswith("aaa-model "))
    assert line.split("  ")[0] == "aaa-model"
    assert "longer than a narrow terminal is wide, by far and away" in line
    assert line.endswith("fast pixel  -") or "fast pixel" in line
    (line,) = (line for line in lines if line.startswith("aab-needs "))
    assert line.endswith('pip install "some-models[quick]"')


def test_list_names_are_sorted_and_bare(cli, stranger):
    names = cli("models", "list", "--names").out.splitlines()
    assert names == sorted(names)
    assert {"aaa-model", "aab-needs", "aac-broken"} <= set(names)


def test_list_json_says_what_can_be_used(cli, stranger):
    entries = {entry["name"]: entry for entry in json.loads(cli("models", "list", "--json").out)}
    assert entries["aaa-model"]["available"] is True
    assert entries["aaa-model"]["distribution"] == "stranger"
    assert entries["aaa-model"]["pixel_map"] is True
    assert entries["aab-needs"]["available"] is False
    assert entries["aab-needs"]["missing"] == ['pip install "some-models[quick]"']


def test_tags_narrow_the_listing_and_must_all_be_met(cli, stranger):
    names = ("aaa-model", "aab-needs", "aac-broken")

    def listed(*tags):
        options = [part for tag in tags for part in ("--tag", tag)]
        return [n for n in cli("models", "list", "--names", *options).out.split() if n in names]

    assert listed("fast") == ["aaa-model", "aab-needs"]
    assert listed("fast", "pixel") == ["aaa-model"]
    assert listed("odd", "pixel") == []


def test_kind_of_a_component_counts_as_a_tag(cli, stranger):
    assert "sink/aaa-sink" in cli("components", "list", "--names", "--tag", "sink").out.split()
    assert all(name.startswith("sink/") for name in cli("components", "list", "--names", "--tag", "sink").out.split())


def test_unknown_tag_is_refused_with_those_that_exist(cli, stranger):
    done = cli("models", "list", "--tag", "fsat")
    assert done.code == 2
    assert "error: --tag: no model has the tag 'fsat'" in done.err
    assert "fast" in done.err.partition("allowed:")[2]


def test_listing_imports_no_factory(process, stranger):
    done = process("models", "list", "--json")
    assert done.code == 0
    assert "no licence" not in done.err


def test_broken_distribution_is_told_beside_the_listing(cli, plug_in, monkeypatch):
    monkeypatch.setenv("PYIMGANO_PLUGINS", "broken")
    plug_in("broken", {"pyimgano.models": {"x": "broken_specs:MODELS"}}, {"broken_specs": "1 / 0"})
    done = cli("models", "list", "--json")
    assert done.code == 0
    assert json.loads(done.out) is not None
    assert "warning: broken offers no models: ZeroDivisionError: division by zero" in done.err


def test_info_shows_all_of_a_model(cli, stranger):
    done = cli("models", "info", "aaa-model")
    assert done.code == 0
    for text in (
        "distribution: stranger 1.0",
        "capabilities: anomaly maps, save and load, export to onnx",
        "tags:         fast, pixel",
        "paper:        A. Author, 2020",
        "size: int = 32\n      Side of the square, in pixels.",
        "alpha: float (required)\n      Two weights, see stranger.factory and size.",
        "beta: float = 0.5\n      Two weights, see stranger.factory and size.",
        "layers = ['a', 'b']",
    ):
        assert text in done.out
    data = json.loads(cli("models", "info", "aaa-model", "--json").out)
    assert data["parameters"]["size"] == {
        "default": 32,
        "annotation": "int",
        "required": False,
        "description": "Side of the square, in pixels.",
    }
    assert data["parameters_error"] is None


def test_info_of_a_model_that_lacks_something_shows_the_rest(cli, stranger):
    done = cli("models", "info", "aab-needs")
    assert done.code == 0
    assert "needs:        json (installed)" in done.out
    assert 'needs:        absent_backend (not installed: pip install "some-models[quick]")' in done.out
    assert "The parameters cannot be shown: needs 'absent_backend'" in done.out
    data = json.loads(cli("models", "info", "aab-needs", "--json").out)
    assert data["parameters"] is None
    assert data["parameters_error"]["hint"] == 'pip install "some-models[quick]"'


def test_info_of_a_broken_model_shows_the_rest_and_the_reason(cli, stranger):
    done = cli("models", "info", "aac-broken")
    assert done.code == 0
    assert done.out.startswith("aac-broken\nA model that is broken\n")
    assert "is installed but broken: RuntimeError: no licence" in done.out


def test_info_of_a_recipe_instance_shows_its_presets(cli, stranger):
    done = cli("recipes", "info", "aaa-recipe")
    assert done.code == 0
    assert "presets:      quick, thorough" in done.out


def test_info_of_a_recipe_tells_what_each_preset_does_and_where_figures_come_from(cli, stranger):
    done = cli("recipes", "info", "aab-recipe")
    assert done.code == 0
    text = done.out
    assert "Stages:\n  1. Look.\n  2. Say.\n" in text
    assert "  quick (the default): For those who want it quick.\n" in text
    assert "      sets: model.name = aaa-model, model.params.size = 8\n      threshold: by lot\n" in text
    assert "  thorough: For those who want it thorough.\n      threshold: by lot\n" in text
    assert text.count("      measured: AUROC 0.5 [runs/one.json]\n") == 2
    details = json.loads(cli("recipes", "info", "aab-recipe", "--json").out)["preset_details"]
    assert [(one["name"], one["default"]) for one in details] == [("quick", True), ("thorough", False)]
    assert details[0]["settings"]["model"]["params"] == {"size": 8}


def test_info_of_a_recipe_that_says_nothing_of_its_presets_names_them(cli, stranger):
    details = json.loads(cli("recipes", "info", "aaa-recipe", "--json").out)["preset_details"]
    assert details == [{"name": "quick", "default": True}, {"name": "thorough", "default": False}]


def test_info_of_something_without_parameters_says_so(cli, stranger):
    assert "It has no parameters." in cli("components", "info", "sink/aaa-sink").out


def test_info_of_an_unknown_name_suggests_close_ones(cli, stranger):
    done = cli("models", "info", "aaa-modle")
    assert done.code == 2
    assert "error: unknown model 'aaa-modle'" in done.err
    assert "did you mean 'aaa-model'" in done.err


def test_plugins_list_tells_what_became_of_each(cli, stranger):
    done = cli("plugins", "list")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines() if line.startswith("stranger")]
    assert sorted(row[1] for row in rows) == ["components", "models", "recipes"]
    assert {row[2] for row in rows} == {"ok"}


def test_plugins_list_shows_tracebacks_when_asked(cli, plug_in, monkeypatch):
    monkeypatch.setenv("PYIMGANO_PLUGINS", "broken")
    plug_in(
        "broken",
        {"pyimgano.models": {"x": "broken_specs:MODELS"}, "pyimgano.cli": {"act": "broken_specs:act"}},
        {"broken_specs": "1 / 0"},
    )
    assert "Traceback" not in cli("plugins", "list").out
    done = cli("plugins", "list", "--traceback")
    assert done.out.count("Traceback (most recent call last)") >= 2
    assert "broken: pyimgano.models = broken_specs:MODELS" in done.out
    records = [r for r in json.loads(cli("plugins", "list", "--json").out) if r["distribution"] == "broken"]
    assert [(r["group"], r["status"]) for r in records] == [("pyimgano.models", "failed"), ("pyimgano.cli", "failed")]
    assert all("ZeroDivisionError" in r["traceback"] for r in records)


def test_plugins_info_shows_one_distribution(cli, stranger):
    done = cli("plugins", "info", "stranger")
    assert done.out.startswith("stranger 1.0\n")
    assert "  aaa-model: A model with a summary" in done.out
    assert "pyimgano-cli" not in done.out


def test_plugins_info_of_an_unknown_distribution_suggests_close_ones(cli, stranger):
    done = cli("plugins", "info", "strangr")
    assert done.code == 2
    assert "did you mean 'stranger'?" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_narrow_terminal_wraps_and_cuts_no_name(stranger):
    terminal, inside = os.openpty()
    env = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
    env.pop("NO_COLOR", None)
    arguments = [sys.executable, "-m", "pyimgano.cli", "models", "list"]
    process = subprocess.Popen(arguments, stdout=inside, stderr=subprocess.DEVNULL, env=env)
    os.close(inside)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    for name in ("aaa-model", "aab-needs", "aac-broken"):
        assert name in text
    assert "…" not in text
    assert "\x1b[" in text
