"""Recipes of one's own: registration, presets, parameters, and a run that they carry out."""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable

import pytest

from pyimgano.core.errors import ParameterError, PluginError
from pyimgano.core.registry import RECIPES
from pyimgano.recipes import register_recipe
from pyimgano.workbench.config import RunConfigError, load_run_config
from pyimgano.workbench.recipe import create_recipe, preset_defaults
from pyimgano.workbench.runs import list_runs
from pyimgano.workbench.stages import calibrate_category, fit_category, prepare_data
from pyimgano.workbench.summary import run_summary
from pyimgano.workbench.training import run_recipe


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())
    before = RECIPES.snapshot()
    yield
    RECIPES.restore(before)


def _this_module() -> Any:  # pytest's importlib mode need not leave a test module in sys.modules
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


class ThresholdOnly:
    """Fits and calibrates, and evaluates nothing."""

    presets = MappingProxyType({"strict": {"calibration": {"alpha": 0.1}}, "loose": {"calibration": {"alpha": 0.5}}})

    def __init__(self, *, note: str = "none") -> None:
        self.note = note

    def run(self, config: Any, run: Any) -> None:
        data = prepare_data(config, run.progress)
        entries = []
        for part, folder in zip(data.categories, run.plan([part.name for part in data.categories])):
            fitted = fit_category(config, part, folder, run.progress)
            card = calibrate_category(config, part, fitted.detector, run.progress)
            entries.append({"name": part.name, "folder": folder.folder, "threshold": card.threshold})
        run.finish({"categories": entries, "note": self.note})


def test_a_registered_recipe_runs_with_its_preset_and_parameters(
    make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    register_recipe("threshold-only", summary="Fit and calibrate")(ThresholdOnly)
    config = load_run_config(
        settings=["recipe=threshold-only", "recipe_params.note=mine", "model.params.input_size=32"],
        flags={
            "dataset.root": make_cells(tmp_path / "cells"),
            "model.name": "pixel-gaussian",
            "output.dir": tmp_path / "runs",
        },
    )
    assert (config.preset, config.calibration.alpha) == ("strict", 0.1)
    with pytest.raises(Exception, match="needs at least 9 held-out"):
        run_recipe(config)
    config = load_run_config(settings=["preset=loose"], flags=_flags(config))
    run = run_recipe(config)
    assert run.report()["note"] == "mine"
    assert run.report()["categories"][0]["threshold"] > 0
    assert [info.state for info in list_runs(tmp_path / "runs")] == ["complete"]
    assert run_summary(run)  # what it does not report is not shown, and nothing fails


def _flags(config: Any) -> dict[str, Any]:
    given = config.to_json()
    given.pop("calibration")
    given.pop("preset")
    return {key: value for key, value in given.items() if value is not None}


def test_unknown_parameters_of_a_recipe_are_refused_before_the_run(tmp_path: Path) -> None:
    register_recipe("threshold-only", summary="Fit and calibrate")(ThresholdOnly)
    with pytest.raises(RunConfigError) as caught:
        load_run_config(
            settings=["recipe=threshold-only", "recipe_params.nota=1"],
            flags={"dataset.root": tmp_path, "model.name": "pixel-gaussian"},
        )
    assert "recipe_params.nota: unknown parameter 'nota'" in caught.value.message
    with pytest.raises(ParameterError, match="unknown parameter 'x'"):
        create_recipe("industrial-adapt", {"x": 1})


def test_an_unknown_recipe_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(RunConfigError) as caught:
        load_run_config(settings=["recipe=industrial-adopt"], flags={"dataset.root": tmp_path})
    assert [problem.path for problem in caught.value.problems] == [("recipe",)]
    assert "did you mean 'industrial-adapt'?" in caught.value.message


def test_a_class_inside_a_function_or_without_run_is_refused() -> None:
    class Local:
        def run(self, config: Any, run: Any) -> None: ...

    with pytest.raises(PluginError, match="inside a function"):
        register_recipe("local", summary="x")(Local)
    with pytest.raises(PluginError, match=r"no method run\(config, run\)"):
        register_recipe("none", summary="x")(Path)


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(PluginError, match="already registered by pyimgano-workbench"):
        register_recipe("industrial-adapt", summary="mine")(ThresholdOnly)


def test_a_preset_that_is_listed_but_not_defined_is_told() -> None:
    register_recipe("threshold-only", summary="x", presets=("strict", "missing"))(ThresholdOnly)
    with pytest.raises(PluginError, match="lists the preset 'missing' but does not define it"):
        preset_defaults("threshold-only", "missing")
