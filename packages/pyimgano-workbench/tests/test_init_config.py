"""`pyimgano init`: the config that it writes runs as it is, in every format, and explains itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyimgano.cli.main import main
from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.images import write_png
from pyimgano.workbench.config import load_run_config, run_config_schema
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.starter import choose_settings, starter_text
from pyimgano.workbench.training import run_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("init") / "textures"
    write_textures(root, seed=0)
    return root


def samples(train: int, validation: int = 0) -> Samples:
    parts = [("train", train), ("validation", validation)]
    found = [
        Sample(f"{split}/{index}", Path(f"{split}/{index}.png"), split, 0)
        for split, count in parts
        for index in range(count)
    ]
    return Samples(Path("data"), tuple(found))


LEFT_OUT = {"calibration.method": "cross-conformal", "calibration.params": {"folds": "jackknife"}}


@pytest.mark.parametrize("ending", ["toml", "yaml", "json"])
def test_the_config_is_valid_and_names_the_dataset_from_where_it_lies(
    ending: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if ending == "yaml":
        pytest.importorskip("ruamel.yaml", reason="the extra 'yaml' is not installed")
    output = tmp_path / f"run.{ending}"
    assert main(["init", str(data), "-o", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    config = load_run_config(output)
    assert Path(config.dataset.root).resolve() == data.resolve()
    assert config.calibration.alpha == 0.05
    assert not os.path.isabs(json.loads(_settings(output))["dataset"]["root"])


def _settings(path: Path) -> str:
    from pyimgano.workbench.config.places import read_config_file

    return json.dumps(read_config_file(path)[0])


def test_nothing_is_asked_where_nobody_answers(data: Path, tmp_path: Path) -> None:
    silent, other_end = os.pipe()  # a reader would wait there for ever
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pyimgano.cli", "init", str(data), "-o", "run.toml", "--json"],
            stdin=silent,
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    finally:
        os.close(silent)
        os.close(other_end)
    told = json.loads(done.stdout)
    assert (done.returncode, told["config"], told["dataset"]) == (0, "run.toml", str(data))
    assert load_run_config(tmp_path / "run.toml").dataset.root
    assert "?" not in done.stderr


def test_the_config_runs_as_it_is(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run.toml"
    assert main(["init", str(data), "-o", str(output)]) == 0
    # The model is the one thing that is exchanged: the default one is tested elsewhere and takes longer.
    config = load_run_config(output, flags={"model.name": "pixel-gaussian", "dataset.categories": ["brick"]})
    run = run_recipe(config)
    assert run.path.parent == tmp_path / "runs"
    assert run.report()["n_test"] == 36


@pytest.mark.parametrize("form", ["toml", "yaml"])
def test_every_key_of_the_schema_is_explained(form: str) -> None:
    text = starter_text({"dataset.root": "data"}, form=form)
    words = " ".join(line.strip().lstrip("# ") for line in text.splitlines())
    schema = run_config_schema()
    # A component is an entry of a list, and no table of the file.
    tables = [schema, *(table for name, table in schema["$defs"].items() if name != "ComponentConfig")]
    described = [(name, facts) for table in tables for name, facts in table["properties"].items()]
    assert len(described) > 20
    for name, facts in described:
        if "$ref" not in facts:
            assert " ".join(facts["description"].split()) in words, f"{name} is not explained"


@pytest.mark.parametrize("form", ["toml", "yaml"])
def test_every_key_behind_a_hash_can_be_set_by_removing_it(form: str, data: Path, tmp_path: Path) -> None:
    if form == "yaml":
        pytest.importorskip("ruamel.yaml", reason="the extra 'yaml' is not installed")
    output = tmp_path / f"run.{form}"
    assert main(["init", str(data), "-o", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    lines = [
        line.replace("#", "", 1) if line.strip()[:2].lstrip("#")[:1].isalpha() else line for line in text.split("\n")
    ]
    assert lines != text.split("\n")
    output.write_text("\n".join(lines), encoding="utf-8")
    config = load_run_config(output)
    assert config.dataset.limit == 100
    assert config.model.name == "patchcore"
    assert config.dataset.categories == ["brick", "grass", "gravel"]


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        (200, 0, {"calibration.alpha": 0.05, "calibration.holdout": 0.2}),
        (60, 0, {"calibration.alpha": 0.05, "calibration.holdout": 19}),
        (25, 20, {"calibration.alpha": 0.05}),
        (25, 0, {"calibration.alpha": 0.1, "calibration.holdout": 9}),
        (25, 10, {"calibration.alpha": 0.1}),
        (11, 0, {"calibration.alpha": 0.2, "calibration.holdout": 4}),
        (10, 0, {**LEFT_OUT, "calibration.alpha": 0.1}),
        (9, 0, {**LEFT_OUT, "calibration.alpha": 0.1}),
        (8, 0, {**LEFT_OUT, "calibration.alpha": 0.2}),
        (4, 0, {**LEFT_OUT, "calibration.alpha": 0.2}),
        (3, 0, {"calibration.method": "quantile", "calibration.alpha": 0.05}),
        (10, 4, {"calibration.alpha": 0.2}),
    ],
)
def test_alpha_is_one_that_the_good_images_support(train: int, validation: int, expected: dict) -> None:
    assert choose_settings(samples(train, validation)).settings == expected


@pytest.mark.parametrize("count", [2, 5, 10, 25, 60, 100])
def test_what_is_chosen_passes_the_checks_before_a_fit(count: int, tmp_path: Path) -> None:
    from pyimgano.workbench.progress import Silent
    from pyimgano.workbench.stages import prepare_data

    rng = np.random.default_rng(count)
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(count):
        write_png(rng.integers(0, 255, (8, 8), dtype=np.uint8), folder / f"{index}.png")
    output = tmp_path / "run.toml"
    assert main(["init", str(folder), "-o", str(output)]) == 0
    (found,) = prepare_data(load_run_config(output), Silent()).categories
    used = {sample.id for sample in (*found.fit, *found.calibration)}
    assert len(used) == count
    assert bool(found.folds) == (4 <= count <= 10)
    assert found.folds or not {sample.id for sample in found.fit} & {sample.id for sample in found.calibration}


def test_the_preset_for_few_images_leaves_out_one_at_a_time_of_more_images_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(20):
        write_png(rng.integers(0, 255, (8, 8), dtype=np.uint8), folder / f"{index}.png")
    output = tmp_path / "run.toml"
    assert main(["init", str(folder), "-o", str(output), "--preset", "few-shot"]) == 0
    config = load_run_config(output)
    assert config.preset == "few-shot"
    assert config.calibration.model_dump(include={"method", "params", "alpha"}) == {
        "method": "cross-conformal",
        "params": {"folds": "jackknife"},
        "alpha": 0.05,
    }


def test_a_dataset_without_good_images_is_refused(tmp_path: Path) -> None:
    found = Samples(tmp_path, (Sample("a", Path("a.png"), "test", 1),))
    with pytest.raises(DatasetError, match="no good images to train on"):
        choose_settings(found)


def test_a_file_that_is_there_is_kept_unless_forced(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.toml"
    output.write_text("# mine")
    assert main(["init", str(data), "-o", str(output)]) == 2
    assert output.read_text() == "# mine"
    assert main(["init", str(data), "-o", str(output), "--force"]) == 0
    assert load_run_config(output).seed == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nowhere"], 4, "nowhere"),
        (["DATA", "-o", "run.ini"], 2, ".toml"),
        (["DATA", "-o", "no/such/folder/run.toml"], 74, "cannot write"),
        (["DATA", "--preset", "fastt"], 2, "'fast'"),
    ],
)
def test_mistakes_are_plain_errors(
    arguments: list[str],
    status: int,
    said: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", *(str(data) if part == "DATA" else part for part in arguments)]) == status
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_strings_of_any_kind_survive_the_file(tmp_path: Path) -> None:
    value = 'a "quoted" \\ back\tslash ü 日本'
    for form, ending in (("toml", "toml"), ("json", "json")):
        path = tmp_path / f"x.{ending}"
        path.write_text(starter_text({"dataset.root": value}, form=form), encoding="utf-8")
        assert json.loads(_settings(path))["dataset"]["root"] == value
