"""From files, ``--set`` options and flags to a :class:`RunConfig` that is complete and known to be sound."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union, get_args

from pyimgano.core.errors import MissingDependencyError, ParameterError, PyimganoError, UnknownNameError
from pyimgano.core.names import few_names, unknown_name_hint
from pyimgano.core.plugins import installed
from pyimgano.workbench.config.adapting import check_adapt
from pyimgano.workbench.config.components import check_components
from pyimgano.workbench.config.decision_checks import check_decisions
from pyimgano.workbench.config.layers import Layer, file_layer, flag_layer, merge, setting_layer
from pyimgano.workbench.config.models import CalibrationConfig, OutputConfig, RunConfig
from pyimgano.workbench.config.pipelines import check_pipeline
from pyimgano.workbench.config.places import KeyPath
from pyimgano.workbench.config.problems import (
    ConfigProblem,
    RunConfigError,
    from_validation,
    parameter_problems,
    problem_of,
)

if TYPE_CHECKING:
    from pyimgano.workbench.calibrate import ThresholdMethod

__all__ = ["load_run_config"]


def load_run_config(
    file: Union[str, os.PathLike[str], None] = None,
    *,
    settings: Sequence[str] = (),
    flags: Optional[Mapping[str, Any]] = None,
    check_dataset: bool = True,
) -> RunConfig:
    """Return a complete run config.

    The order of precedence, the weakest first: defaults, the recipe's preset, ``file``, ``settings`` in their order,
    ``flags``. Relative paths are relative to the file's folder when they stand in the file, else to the current one.

    Parameters
    ----------
    file : path-like, optional
        A JSON, TOML or YAML file; a run's own ``config.json`` is one.
    settings : sequence of str
        ``"a.b=value"`` each, as after ``--set``.
    flags : mapping, optional
        Dotted key → value, e.g. ``{"dataset.root": "data", "model.params": {"seed": 3}}``; None values are left out.
    check_dataset : bool
        Whether the dataset must be there.

    Raises
    ------
    RunConfigError
        With everything that is wrong: unknown keys, values, names of recipe, preset, model, layout, method, parameters.
    ConfigError
        When the file cannot be read or parsed.
    """
    layers: list[Layer] = [file_layer(Path(file))] if file is not None else []
    layers += [setting_layer(setting) for setting in settings]
    layers += [flag_layer(key, value) for key, value in (flags or {}).items() if value is not None]
    user = merge([layer.data for layer in layers])
    problems: list[ConfigProblem] = []
    # A path that nobody gives is relative to the current folder, like one that a flag gives.
    home = {"output": {"dir": os.path.abspath(OutputConfig().dir)}}
    data = merge([home, _with_preset(user, problems)])
    config = _validated(data, problems)
    _check_names(data, problems, check_dataset=check_dataset)
    if problems or config is None:
        raise RunConfigError(_placed(problem, layers) for problem in problems)
    return config


def _with_preset(user: dict[str, Any], problems: list[ConfigProblem]) -> dict[str, Any]:
    """Put the preset's defaults below what the user set."""
    from pyimgano.workbench.recipe import preset_defaults, recipe_presets

    name = user.get("recipe", RunConfig.model_fields["recipe"].default)
    preset = user.get("preset")
    if not isinstance(name, str) or not isinstance(preset, (str, type(None))):
        return user  # the validation says so
    try:
        presets = recipe_presets(name)
    except PyimganoError as error:
        problems.append(problem_of(("recipe",), error))
        return user
    if preset is None and presets:
        preset = presets[0]
    if preset is None:
        return user
    if preset not in presets:
        hint = unknown_name_hint(preset, presets)
        allowed = ", ".join(presets) or f"none: the recipe {name!r} has no presets"
        problems.append(ConfigProblem(("preset",), f"unknown preset {preset!r}", allowed=allowed, hint=hint))
        return user
    try:
        defaults = preset_defaults(name, preset)
    except PyimganoError as error:
        problems.append(problem_of(("recipe",), error))
        return user
    if user.get("preset") is not None:
        _refuse_another_model(name, preset, user, defaults, problems)
    return merge([_fitting(defaults, user), user, {"preset": preset}])


def _fitting(defaults: dict[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset's defaults without the parameters of what the user has replaced by something else."""
    kept = dict(defaults)
    for section, name, params in (
        ("model", "name", "params"),
        ("calibration", "method", "params"),
        ("calibration", "pixel_method", "pixel_params"),
    ):
        table = user.get(section)
        chosen = table.get(name) if isinstance(table, dict) else None
        if section in kept and chosen is not None and chosen != kept[section].get(name):
            kept[section] = {key: value for key, value in kept[section].items() if key not in (name, params)}
    return kept


def _refuse_another_model(
    recipe: str, preset: str, user: Mapping[str, Any], defaults: Mapping[str, Any], problems: list[ConfigProblem]
) -> None:
    """Refuse a preset that is its model beside another model: nothing of the preset would be left."""
    from pyimgano.workbench.recipe import preset_facts

    model = user.get("model")
    chosen = model.get("name") if isinstance(model, dict) else None
    own = defaults.get("model", {}).get("name")
    if chosen is not None and chosen != own and preset_facts(recipe, preset).own_model:
        hint = f"leave the model to the preset, or take another preset beside {chosen!r}"
        message = f"the preset {preset!r} is the model {own!r}, and {chosen!r} is named beside it"
        problems.append(ConfigProblem(("model", "name"), message, hint=hint))


def _validated(data: dict[str, Any], problems: list[ConfigProblem]) -> Optional[RunConfig]:
    from pydantic import ValidationError

    # A section that is absent is judged as an empty one, so that the message names the key that is missing.
    filled = {"dataset": {}, "model": {}, **data}
    try:
        return RunConfig.model_validate(filled)
    except ValidationError as error:
        found = from_validation(error.errors(), _known_keys())
        if any(problem.path[0] == "recipe" or problem.path[0] == "preset" for problem in problems):
            # Without its preset a config may lack a model; that is not the user's mistake.
            found = [problem for problem in found if problem.path != ("model", "name")]
        problems.extend(found)
        return None


def _known_keys() -> dict[KeyPath, tuple[str, ...]]:
    known: dict[KeyPath, tuple[str, ...]] = {}

    def walk(annotation: Any, path: KeyPath) -> None:
        fields = getattr(annotation, "model_fields", None)
        if fields is None:
            for part in get_args(annotation):  # of a list, or of what may be null
                walk(part, path)
            return
        known[path] = tuple(fields)
        for name, field in fields.items():
            walk(field.annotation, (*path, name))

    walk(RunConfig, ())
    return known


def _check_names(data: Mapping[str, Any], problems: list[ConfigProblem], *, check_dataset: bool) -> None:
    """Check what a schema cannot: registered names, and parameters against signatures."""
    broken = {problem.path for problem in problems}
    recipe, model, calibration, dataset = (data.get(key) for key in ("recipe", "model", "calibration", "dataset"))
    if (recipe is None or isinstance(recipe, str)) and ("recipe",) not in broken:
        made = _check_recipe(recipe or RunConfig.model_fields["recipe"].default, data.get("recipe_params"), problems)
    else:
        made = None
    detector = None
    if isinstance(model, dict) and isinstance(model.get("name"), str) and model["name"]:
        detector = _check_model(model["name"], model.get("params"), problems)
        if made is not None and detector is not None and hasattr(made, "check_model"):
            try:
                made.check_model(detector)
            except ParameterError as error:
                problems += parameter_problems(("recipe_params",), error, data.get("recipe_params") or {})
        _check_maps(model["name"], detector, data, problems)
    check_adapt(data.get("adapt"), made, detector, problems)
    if isinstance(calibration, dict):
        _check_calibration(calibration, problems)
    output = data.get("output")
    if isinstance(output, dict):
        check_components(("output", "sinks"), "sink", output.get("sinks"), problems)
    check_decisions(data, problems)
    check_pipeline(data, made, problems)
    if isinstance(dataset, dict):
        _check_dataset(dataset, problems, check_dataset=check_dataset)


def _check_recipe(name: str, params: Any, problems: list[ConfigProblem]) -> Any:
    """Return the recipe, or None when it has been told why there is none."""
    from pyimgano.workbench.recipe import create_recipe

    if params is not None and not isinstance(params, dict):
        return None
    try:
        return create_recipe(name, params or {})
    except ParameterError as error:
        problems += parameter_problems(("recipe_params",), error, params or {})
    except PyimganoError as error:
        problems.append(problem_of(("recipe",), error))
    return None


def _check_model(name: str, params: Any, problems: list[ConfigProblem]) -> Any:
    """Return the model, unfitted, or None when it has been told why there is none."""
    from pyimgano.core.creation import create_model
    from pyimgano.core.registry import MODELS

    if params is not None and not isinstance(params, dict):
        return None
    try:
        if not MODELS.get(name).spec.checkpoint:
            problems.append(
                ConfigProblem(("model", "name"), f"{name!r} cannot be saved, so a run of it could not be used")
            )
            return None
        return create_model(name, **(params or {}))  # __init__ only stores, and validate needs no data
    except ParameterError as error:
        problems += parameter_problems(("model", "params"), error, params or {})
    except MissingDependencyError as error:
        problem = problem_of(("model", "name"), error)
        ready = [e.spec.name for e in MODELS.entries() if all(installed(need.module) for need in e.spec.requires)]
        if ready:
            others = f"{few_names(ready, 'models')} (see: pyimgano models list)"
            hint = f"{problem.hint}; or choose a model that runs as it is: {others}"
            problem = dataclasses.replace(problem, hint=hint)
        problems.append(problem)
    except PyimganoError as error:
        problems.append(problem_of(("model", "name"), error))
    return None


def _check_maps(name: str, model: Any, data: Mapping[str, Any], problems: list[ConfigProblem]) -> None:
    """Refuse what needs anomaly maps from a model that has none; whether it has may depend on its parameters."""
    from pyimgano.core.registry import MODELS

    try:
        has_maps = MODELS.get(name).spec.pixel_map and getattr(model, "makes_maps", True)
    except PyimganoError:
        return  # told already
    if has_maps:
        return
    for section, key in (("output", "maps"), ("output", "masks"), ("output", "overlays"), ("evaluation", "pixel")):
        table = data.get(section)
        if isinstance(table, dict) and table.get(key) is True:
            hint = "see the tag 'pixel': pyimgano models list --tag pixel"
            problems.append(ConfigProblem((section, key), f"the model {name!r} has no anomaly maps", hint=hint))


def _check_calibration(calibration: Mapping[str, Any], problems: list[ConfigProblem]) -> None:
    from pyimgano.workbench.calibrate import contradictions

    # What is left out is as the model says; what has another type is told by the model.
    default = CalibrationConfig().method
    method = _check_method(calibration.get("method", default), calibration.get("params"), "", problems)
    name = calibration.get("pixel_method")
    pixel = None if name is None else _check_method(name, calibration.get("pixel_params"), "pixel_", problems)
    if method is None or (name is not None and pixel is None):
        return
    settings = {key: calibration.get(key) for key in ("review_alpha", "pixel_alpha", "pixel_params")}
    for key, message, hint in contradictions(method, pixel, **settings, defects=calibration.get("defects", "none")):
        problems.append(ConfigProblem(("calibration", key), message, hint=hint))


def _check_method(method: Any, params: Any, prefix: str, problems: list[ConfigProblem]) -> Optional[ThresholdMethod]:
    """Return the threshold method, or None when it has been told why there is none."""
    from pyimgano.workbench.calibrate import create_method, method_names

    if not isinstance(method, str) or not (params is None or isinstance(params, dict)):
        return None
    try:
        return create_method(method, params or {})
    except UnknownNameError:
        names = method_names()
        hint = unknown_name_hint(method, names)
        problems.append(
            ConfigProblem(
                ("calibration", f"{prefix}method"), f"unknown method {method!r}", allowed=", ".join(names), hint=hint
            )
        )
    except ParameterError as error:
        problems += parameter_problems(("calibration", f"{prefix}params"), error, params or {})
    except PyimganoError as error:
        problems.append(problem_of(("calibration", f"{prefix}method"), error))
    return None


def _check_dataset(dataset: Mapping[str, Any], problems: list[ConfigProblem], *, check_dataset: bool) -> None:
    from pyimgano.core.registry import DATASETS

    layout, root = dataset.get("format"), dataset.get("root")
    if isinstance(layout, str) and layout != "auto":
        try:
            DATASETS.get(layout)
        except PyimganoError as error:
            problems.append(problem_of(("dataset", "format"), error))
    if check_dataset and isinstance(root, str) and root and not os.path.exists(root):
        problems.append(
            ConfigProblem(
                ("dataset", "root"),
                f"there is no {root!r}",
                hint="in a config file, relative paths start at its folder",
            )
        )


def _placed(problem: ConfigProblem, layers: Sequence[Layer]) -> ConfigProblem:
    """Say where the key is set: in the last layer that sets it, or the nearest table around it."""
    for length in range(len(problem.path), 0, -1):
        for layer in reversed(layers):
            place = layer.place(problem.path[:length])
            if place is not None:
                return dataclasses.replace(problem, where=place)
    files = [layer.source for layer in layers if layer.positions]
    return dataclasses.replace(problem, where=files[0] if files else None)
