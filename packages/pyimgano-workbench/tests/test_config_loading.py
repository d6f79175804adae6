"""Run configs: order of precedence, all errors at once with their places, paths, presets, schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pyimgano.core.errors import ConfigError, MissingDependencyError
from pyimgano.core.registry import MODELS, RECIPES
from pyimgano.core.specs import ModelSpec, Requirement
from pyimgano.workbench.calibrate import method_names
from pyimgano.workbench.config import RunConfig, RunConfigError, load_run_config, run_config_schema


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(*args: object, **kwargs: object) -> dict[str, str]:
    with pytest.raises(RunConfigError) as caught:
        load_run_config(*args, **kwargs)  # type: ignore[arg-type]
    from pyimgano.workbench.config.problems import dotted

    assert str(len(caught.value.problems)) in caught.value.message
    return {dotted(problem.path): str(problem) for problem in caught.value.problems}


JSON = """{
  "seed": 3,
  "dataset": {"root": "data"},
  "model": {"name": "pixel-gaussian"},
  "calibration": {"alpha": 0.1}
}
"""
TOML = 'seed = 3\n[dataset]\nroot = "data"\n[model]\nname = "pixel-gaussian"\n[calibration]\nalpha = 1e-1\n'
YAML = "seed: 3\ndataset: {root: data}\nmodel:\n  name: pixel-gaussian\ncalibration:\n  alpha: 1e-1\n"


@pytest.mark.parametrize(("suffix", "text"), [(".json", JSON), (".toml", TOML), (".yaml", YAML), (".YML", YAML)])
def test_the_three_formats_give_the_same_config(tmp_path: Path, data: Path, suffix: str, text: str) -> None:
    config = load_run_config(write(tmp_path / f"run{suffix}", text))
    assert (config.seed, config.calibration.alpha, config.model.name) == (3, 0.1, "pixel-gaussian")
    assert config.dataset.root == str(data)


def test_flags_win_over_settings_over_the_file_over_the_preset(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path / "run.json", '{"preset": "fast", "seed": 1, "calibration": {"alpha": 0.1, "holdout": 30}}')
    config = load_run_config(
        file, settings=["seed=2", "calibration.alpha=0.2", "seed=4"], flags={"dataset.root": data, "seed": 5}
    )
    assert (config.seed, config.calibration.alpha, config.calibration.holdout) == (5, 0.2, 30)
    assert load_run_config(file, settings=["seed=2"], flags={"dataset.root": data, "seed": None}).seed == 2


def test_a_preset_gives_defaults_and_never_wins(data: Path) -> None:
    fast = load_run_config(flags={"dataset.root": data, "preset": "fast"})
    assert fast.model.params["coreset_sampling_ratio"] == 0.01
    mine = load_run_config(
        settings=["model.params.coreset_sampling_ratio=0.5"], flags={"dataset.root": data, "preset": "fast"}
    )
    assert mine.model.params == {**fast.model.params, "coreset_sampling_ratio": 0.5}


def test_the_preset_of_another_model_lends_no_parameters(data: Path) -> None:
    config = load_run_config(flags={"dataset.root": data, "preset": "fast", "model.name": "pixel-gaussian"})
    assert config.model.params == {}


def test_the_preset_of_another_method_lends_no_parameters_and_keeps_the_rest(data: Path) -> None:
    settings = ["calibration.method=quantile"]
    config = load_run_config(settings=settings, flags={"dataset.root": data, "preset": "few-shot"})
    assert (config.calibration.params, config.calibration.alpha) == ({}, 0.2)
    own = ["calibration.params.folds=3"]
    config = load_run_config(settings=own, flags={"dataset.root": data, "preset": "few-shot"})
    assert (config.calibration.method, config.calibration.params) == ("cross-conformal", {"folds": 3})
    config = load_run_config(flags={"dataset.root": data, "preset": "few-shot", "model.name": "pixel-gaussian"})
    assert (config.model.params, config.calibration.method) == ({}, "cross-conformal")


def test_a_preset_that_is_its_model_is_refused_beside_another_one(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path / "run.toml", '[model]\nname = "padim"\n')
    with pytest.raises(RunConfigError) as caught:
        load_run_config(file, flags={"dataset.root": data, "preset": "noisy-train"})
    assert (
        f"{file}:2:1: model.name: the preset 'noisy-train' is the model 'softpatch', and 'padim' is named beside it"
        in str(caught.value)
    )
    assert "take another preset beside 'padim'" in str(caught.value)
    config = load_run_config(flags={"dataset.root": data, "preset": "noisy-train", "model.name": "softpatch"})
    assert config.model.params["input_size"] == 224


def test_the_resolved_config_of_every_preset_is_read_back_as_the_same(tmp_path: Path, data: Path) -> None:
    for preset in RECIPES.get("industrial-adapt").spec.presets:
        config = load_run_config(flags={"dataset.root": data, "preset": preset})
        file = write(tmp_path / f"{preset}.json", json.dumps(config.to_json()))
        assert load_run_config(file) == config


def test_without_a_preset_the_recipes_first_one_is_taken_and_named(data: Path) -> None:
    config = load_run_config(flags={"dataset.root": data})
    assert config.preset == RECIPES.get("industrial-adapt").spec.presets[0] == "balanced"
    assert config.model.params["coreset_sampling_ratio"] == 0.1


@pytest.mark.parametrize("preset", RECIPES.get("industrial-adapt").spec.presets)
def test_every_preset_is_a_sound_config(data: Path, preset: str) -> None:
    assert load_run_config(flags={"dataset.root": data, "preset": preset}).preset == preset


def test_all_errors_are_told_at_once_with_file_line_and_column(tmp_path: Path) -> None:
    file = write(
        tmp_path / "run.toml",
        'seed = "x"\npreset = "fastt"\non_eror = "skip"\n\n[dataset]\nroot = "nowhere"\nformat = "mvtek"\n'
        '[calibration]\nalpha = 2\nmethod = "conformall"\nholdout = 0\n'
        '[model]\nname = "patchcor"\n[evaluation]\npixel = "yes"\n[output]\nmaps = 1\n',
    )
    found = problems(file)
    assert found == {
        "seed": f"{file}:1:1: seed: 'x'; allowed: a whole number",
        "preset": f"{file}:2:1: preset: unknown preset 'fastt'; allowed: balanced, fast, accurate, "
        "highres, few-shot, noisy-train; "
        "did you mean 'fast'?",
        "on_eror": found["on_eror"],
        "dataset.root": found["dataset.root"],
        "dataset.format": found["dataset.format"],
        "calibration.alpha": f"{file}:9:1: calibration.alpha: 2; allowed: below 1",
        "calibration.method": f"{file}:10:1: calibration.method: unknown method 'conformall'; "
        f"allowed: {', '.join(method_names())}; did you mean 'conformal' or 'cross-conformal'?",
        "calibration.holdout": f"{file}:11:1: calibration.holdout: 0 must be a fraction between 0 and 1, or a whole "
        "number of images",
        "model.name": found["model.name"],
        "evaluation.pixel": f"{file}:15:1: evaluation.pixel: 'yes' must be true, false or 'auto'",
        "output.maps": f"{file}:17:1: output.maps: 1; allowed: true or false",
    }
    assert found["on_eror"].startswith(f"{file}:3:1: on_eror: unknown key; allowed: ")
    assert found["on_eror"].endswith("did you mean 'on_error'?")
    assert found["dataset.root"].startswith(f"{file}:6:1: dataset.root: there is no ")
    assert f"{file}:7:1" in found["dataset.format"]
    assert "did you mean 'mvtec'?" in found["dataset.format"]
    assert f"{file}:13:1: model.name: unknown model 'patchcor'" in found["model.name"]
    assert "did you mean 'patchcore'" in found["model.name"]


def test_a_key_in_the_wrong_table_is_told_where_it_belongs(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path / "run.json", '{"alpha": 0.1,\n "dataset": {"root": "data"}}')
    assert problems(file)["alpha"].startswith(f"{file}:1:2: alpha: unknown key")
    assert problems(file)["alpha"].endswith("did you mean 'calibration.alpha'?")


def test_a_section_that_is_no_table_is_refused_in_plain_words(tmp_path: Path) -> None:
    file = write(tmp_path / "run.json", '{"dataset": "data", "model": 3, "calibration": [1]}')
    found = problems(file)
    assert set(found) == {"dataset", "model", "calibration"}
    assert all("allowed: a table of keys" in text for text in found.values())


def test_a_missing_dataset_says_how_to_give_it(tmp_path: Path) -> None:
    assert "--dataset PATH" in problems(write(tmp_path / "run.json", "{}"))["dataset.root"]


def test_a_wrong_setting_or_flag_is_named_as_it_was_typed(data: Path) -> None:
    found = problems(
        settings=["calibration.alpha=-1", "modle.name=x"], flags={"dataset.root": data, "model.name": "padimm"}
    )
    assert found["calibration.alpha"] == "--set calibration.alpha=-1: calibration.alpha: -1; allowed: above 0"
    assert found["modle"].startswith("--set modle.name=x: modle: unknown key")
    assert found["model.name"].startswith("--model: model.name: unknown model 'padimm'")


@pytest.mark.parametrize("setting", ["seed", "=3", "a..b=3", ".a=1"])
def test_a_setting_that_is_no_assignment_is_refused(data: Path, setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_config(settings=[setting], flags={"dataset.root": data})
    assert caught.value.where == f"--set {setting}"


def test_settings_are_json_and_text_where_they_are_not(data: Path) -> None:
    config = load_run_config(
        settings=['dataset.categories=["a", "b"]', "calibration.alpha=1e-1", "output.name=my run", "output.maps=true"],
        flags={"dataset.root": data},
    )
    assert config.dataset.categories == ["a", "b"]
    assert (config.calibration.alpha, config.output.name, config.output.maps) == (0.1, "my run", True)


def test_unknown_model_parameters_are_found_before_the_run_at_their_line(tmp_path: Path, data: Path) -> None:
    text = 'dataset = {root = "data"}\n[model]\nname = "patchcore"\n[model.params]\ncoreset_sampling_ration = 0.1\n'
    file = write(tmp_path / "run.toml", text)
    found = problems(file)["model.params.coreset_sampling_ration"]
    assert found.startswith(f"{file}:5:1: model.params.coreset_sampling_ration: unknown parameter")
    assert "'coreset_sampling_ratio'" in found


def test_a_model_parameter_out_of_range_is_found_before_the_run_at_its_line(tmp_path: Path, data: Path) -> None:
    text = 'dataset = {root = "data"}\n[model]\nname = "patchcore"\nparams = {coreset_sampling_ratio = 3.0}\n'
    file = write(tmp_path / "run.toml", text)
    assert problems(file)["model.params.coreset_sampling_ratio"].startswith(f"{file}:4:11: ")


def test_a_model_that_cannot_be_saved_is_refused(data: Path) -> None:
    before = MODELS.snapshot()
    MODELS.register(ModelSpec("volatile", "Forgets", "pyimgano.models.patchcore:PatchCore", checkpoint=False))
    try:
        assert "cannot be saved" in problems(flags={"dataset.root": data, "model.name": "volatile"})["model.name"]
    finally:
        MODELS.restore(before)


def test_a_model_whose_library_is_missing_ends_with_exit_code_3_and_names_what_runs_as_it_is(data: Path) -> None:
    before = MODELS.snapshot()
    need = Requirement("no_such_library", "acme-models", "gpu")
    MODELS.register(ModelSpec("needy", "Needs it", "pyimgano.models.patchcore:PatchCore", requires=(need,)))
    try:
        with pytest.raises(RunConfigError) as caught:
            load_run_config(flags={"dataset.root": data, "model.name": "needy"})
    finally:
        MODELS.restore(before)
    assert caught.value.exit_code == 3
    assert "needs 'no_such_library'; pip install \"acme-models[gpu]\"; or choose" in caught.value.message
    assert "a model that runs as it is: " in caught.value.message
    assert "pyimgano models list" in caught.value.message


def test_pictures_of_maps_are_refused_for_a_model_that_has_none(data: Path) -> None:
    found = problems(
        settings=["output.overlays=true", "evaluation.pixel=true"],
        flags={"dataset.root": data, "model.name": "sklearn-isolation-forest"},
    )
    assert set(found) == {"output.overlays", "evaluation.pixel"}
    assert "has no anomaly maps" in found["output.overlays"]


def test_paths_in_a_file_start_at_its_folder_and_all_others_here(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "configs" / "run.json", '{"dataset": {"root": "../data"}, "output": {"dir": "../out"}}')
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data2").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    config = load_run_config(file)
    assert (config.dataset.root, config.output.dir) == (str(data), str(tmp_path / "out"))
    assert load_run_config(file, settings=["dataset.root=data2"]).dataset.root == str(elsewhere / "data2")
    assert load_run_config(flags={"dataset.root": "data2"}).output.dir == str(elsewhere / "runs")


def test_a_written_config_loads_as_the_same_from_anywhere(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_run_config(
        settings=["dataset.value_range=[0, 4095]", "calibration.holdout=25"],
        flags={"dataset.root": data, "preset": "fast", "output.dir": tmp_path / "runs"},
    )
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    written = config.to_json(relative_to=folder)
    assert (written["dataset"]["root"], written["output"]["dir"]) == ("../../data", "..")
    file = write(folder / "config.json", json.dumps(written))
    monkeypatch.chdir("/")
    assert load_run_config(file) == config


def test_a_config_reached_through_a_link_still_finds_its_data(tmp_path: Path, data: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    link = tmp_path / "link"
    try:
        link.symlink_to(deep, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets the user make no symbolic links")
    config = load_run_config(flags={"dataset.root": data})
    file = write(deep / "config.json", json.dumps(config.to_json(relative_to=link)))
    assert load_run_config(link / "config.json").dataset.root == str(data)
    assert load_run_config(file).dataset.root == str(data)


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.json", '{"seed": 1,\n "x" 2}', ":2:6"),
        ("a.json", '{"seed": 1, "seed": 2}', ":1:13"),
        ("a.toml", "seed = 1\nmodel = patchcore\n", ":2:9"),
        ("a.yaml", "seed: 1\nseed: 2\n", ":2:1"),
        ("a.yaml", "seed: 1\na: b: 2\n", ":2:5"),
    ],
)
def test_a_syntax_error_names_line_and_column(tmp_path: Path, name: str, text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_config(write(tmp_path / name, text))
    assert str(caught.value.where) == f"{tmp_path / name}{place}"


@pytest.mark.parametrize(("name", "text"), [("a.json", '{"calibration": {"alpha": NaN}}'), ("b.json", "[1]")])
def test_what_is_no_table_of_strict_values_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"NaN is not JSON|not a table"):
        load_run_config(write(tmp_path / name, text))


def test_a_missing_file_and_a_foreign_format_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file") as caught:
        load_run_config(tmp_path / "none.toml")
    assert "pyimgano init" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="format"):
        load_run_config(write(tmp_path / "run.ini", "seed=1"))


def test_yaml_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(MissingDependencyError) as caught:
        load_run_config(write(tmp_path / "run.yaml", YAML))
    assert caught.value.hint == 'pip install "pyimgano-workbench[yaml]"'


def test_toml_infinity_is_refused(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path / "a.toml", "dataset.root = 'data'\ncalibration.alpha = nan\nmodel.params.x = [inf]\n")
    found = problems(file)
    assert found["calibration.alpha"].startswith(f"{file}:2:1")
    assert found["model.params"].startswith(f"{file}:3:1")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path, data: Path) -> None:
    for name, text in (("a.json", JSON), ("a.toml", TOML), ("a.yaml", YAML)):
        file = tmp_path / name
        file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert load_run_config(file).seed == 3


def test_the_schema_knows_every_key_and_lets_a_preset_choose_the_model() -> None:
    schema = run_config_schema()
    json.dumps(schema, allow_nan=False)
    assert set(schema["properties"]) == set(RunConfig.model_fields)
    assert "required" not in schema
    for name, definition in schema["$defs"].items():
        assert definition["additionalProperties"] is False, name
        assert all("description" in value for value in definition["properties"].values()), name
