"""Third-party distributions, installed as a user's pip would: `tests/plugins/acme-*` (nox installs them).

One works, one fails in every known way, one claims names that are taken.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pyimgano.core.contracts import DatasetReader, FeatureExtractor, Recipe
from pyimgano.core.creation import create_component, create_model
from pyimgano.core.errors import UnknownNameError
from pyimgano.core.images import write_png
from pyimgano.core.registry import COMPONENTS, DATASETS, MODELS, RECIPES, forget_plugins
from pyimgano.core.testing import check_dataset_reader, check_plugin, check_recipe, parametrize_with_checks

ACME = ("acme-broken", "acme-conflict", "acme-inspect")


def pyimgano(*arguments, **env):
    done = subprocess.run(
        [sys.executable, "-m", "pyimgano.cli", *map(str, arguments)],
        env={**os.environ, "COLUMNS": "100", **env},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def textures():
    """Real photographs of one surface, 64 × 64, good; and the same with a patch of another surface on them."""
    from skimage import data

    rng = np.random.default_rng(0)
    brick, grass = (np.repeat(image[..., None], 3, axis=2) for image in (data.brick(), data.grass()))
    good, bad, masks = [], [], []
    for index in range(36):
        y, x = rng.integers(0, 512 - 64, 2)
        tile = brick[y : y + 64, x : x + 64].copy()
        if index < 28:
            good.append(tile)
            continue
        mask = np.zeros((64, 64), np.uint8)
        mask[20:44, 20:44] = 255
        tile[mask > 0] = (grass[y : y + 64, x : x + 64] * np.array([0.3, 1.0, 0.3]))[mask > 0].astype(np.uint8)
        bad.append(tile)
        masks.append(mask)
    return good, bad, masks


@pytest.fixture
def folder(tmp_path, textures):
    """The textures as a folder of the user's own."""
    good, bad, masks = textures
    for index, image in enumerate(good):
        write(tmp_path / "data" / ("train" if index < 24 else "test") / "good" / f"{index}.png", image)
    for index, (image, mask) in enumerate(zip(bad, masks)):
        write(tmp_path / "data" / "test" / "grass" / f"{index}.png", image)
        write(tmp_path / "data" / "ground_truth" / "grass" / f"{index}_mask.png", mask)
    return tmp_path / "data"


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(image, path)


# -- the one that works ----------------------------------------------------------------------------------------------


def test_working_plugin_passes_the_plugin_check():
    assert check_plugin("acme-inspect") == []
    assert check_plugin("acme-conflict") == []


@parametrize_with_checks(
    {
        "acme-mean-colour": lambda: create_model("acme-mean-colour", size=32, cell=8),
        "acme-conflict:patchcore": lambda: create_model("acme-conflict:patchcore"),
    }
)
def test_models_of_plugins_keep_the_detector_contract(check):
    check()


def test_model_finds_what_has_another_colour(textures):
    good, bad, masks = textures
    model = create_model("acme-mean-colour", size=64, cell=8).fit(good[:24])
    scores = model.infer([*good[24:], *bad])
    assert scores.image_scores[4:].min() > scores.image_scores[:4].max()
    for found, mask in zip(scores.maps[4:], masks):
        inside = mask[4::8, 4::8] > 0
        assert found[inside].mean() > found[~inside].mean()


def test_component_is_a_feature_extractor(textures):
    grid = create_component("features", "acme-colour-grid", {"size": 64, "cell": 16})
    assert isinstance(grid, FeatureExtractor)
    features = grid.extract([grid.prepare(image) for image in textures[0][:3]])
    assert features["grid"].shape == (3, 6, 4, 4)


def test_dataset_reads_pairs(tmp_path, textures):
    good, bad, masks = textures
    for index in range(4):
        write(tmp_path / f"part{index}_ref.png", good[index])
        write(tmp_path / f"part{index}_new.png", good[index + 4] if index < 2 else bad[index])
        if index >= 2:
            write(tmp_path / f"part{index}_mask.png", masks[index])
    reader = DATASETS.load("acme-pairs")()
    assert isinstance(reader, DatasetReader)
    check_dataset_reader(type(reader), root=tmp_path)
    assert reader.detect(tmp_path) == "4 files end in _ref and 4 in _new"
    samples = reader.read(tmp_path)
    assert len(samples.select("train", label=0)) == 4
    assert [sample.label for sample in samples.select("test")] == [0, 0, 1, 1]
    assert [len(sample.masks) for sample in samples.select("test")] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("noun", "registry", "name"),
    [
        ("models", MODELS, "acme-mean-colour"),
        ("recipes", RECIPES, "acme-colour-audit"),
        ("datasets", DATASETS, "acme-pairs"),
        ("components", COMPONENTS, "features/acme-colour-grid"),
    ],
)
def test_plugin_shows_in_every_listing(noun, registry, name):
    assert name in registry.names()
    assert registry.get(name).distribution == "acme-inspect"
    listed = pyimgano(noun, "list")
    assert listed.returncode == 0
    assert name in [line.split("  ")[0] for line in listed.stdout.splitlines()]
    entries = json.loads(pyimgano(noun, "list", "--json").stdout)
    assert "acme-inspect" in {entry["distribution"] for entry in entries}
    if noun != "components":  # which have no option of this kind
        assert name in pyimgano(f"--list-{noun}").stdout.split()


def test_command_of_a_plugin_shows_in_the_help_and_runs(tmp_path):
    assert "acme-report" in pyimgano("--help").stdout
    category = tmp_path / "run" / "categories" / "brick"
    category.mkdir(parents=True)
    lines = [{"image": f"{i}.png", "score": float(i)} for i in range(9)] + [{"image": "x.png", "error": {"type": "E"}}]
    (category / "per_image.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    done = pyimgano("acme-report", tmp_path / "run", "--top", "2")
    assert (done.returncode, done.stdout) == (0, "8\tbrick\t8.png\n7\tbrick\t7.png\n")
    done = pyimgano("acme-report", tmp_path / "absent")
    assert (done.returncode, done.stdout) == (5, "")
    assert "hint: give the folder of a finished run" in done.stderr


def test_recipe_of_a_plugin_runs_a_whole_run(tmp_path, folder):
    assert isinstance(RECIPES.load("acme-colour-audit")(), Recipe)
    config = tmp_path / "run.json"
    config.write_text(json.dumps(run_config(folder)), encoding="utf-8")
    done = pyimgano("train", "--config", config, "--set", f"output.dir={tmp_path / 'runs'}")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert report["recipe"] == "acme-colour-audit"
    assert report["model"] == "acme-mean-colour"
    assert report["categories"][0]["metrics"]["image_auroc"]["value"] == 1.0
    colours = json.loads((run / "artifacts" / "colours.json").read_text(encoding="utf-8"))
    (mean,) = colours["mean_rgb"].values()
    assert all(0 < value < 1 and round(value, 2) == value for value in mean)
    worst = pyimgano("acme-report", run, "--top", "1")
    assert "grass" in worst.stdout


def run_config(folder):
    return {
        "recipe": "acme-colour-audit",
        "recipe_params": {"digits": 2},
        "preset": "fine",
        "dataset": {"root": str(folder)},
        "model": {"params": {"size": 64}},
        "calibration": {"alpha": 0.2},
    }


def test_recipe_of_a_plugin_keeps_the_recipe_contract(folder):
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.training import run_recipe

    def run(output):
        config = load_run_config(flags={**run_config(folder), "output": {"dir": str(output)}})
        return run_recipe(config).path

    check_recipe(run)


# -- the one that fails ----------------------------------------------------------------------------------------------


def test_each_failure_is_told_by_its_kind():
    records = json.loads(pyimgano("plugins", "list", "--json").stdout)
    found = {(r["group"].partition(".")[2], r["name"]): r for r in records if r["distribution"] == "acme-broken"}
    expected = {
        ("models", "raises"): ("failed", "RuntimeError: the licence server of Acme does not answer"),
        ("models", "exits"): ("failed", "SystemExit: acme_broken cannot live here"),
        ("models", "no-specs"): ("failed", "holds a dict, not a ModelSpec"),
        ("models", "no-attribute"): ("failed", "has no attribute 'RENAMED'"),
        ("models", "no-module"): ("failed", "No module named 'acme_broken.gone'"),
        ("recipes", "missing-dependency"): ("missing-dependency", "needs the module 'acme_absent_backend'"),
        ("datasets", "broken-import"): ("failed", "ImportError: cannot import name 'a_name_that_json_dropped'"),
        ("components", "foreign-api"): ("incompatible", "written for plugin API 999; this pyimgano has 1"),
        ("cli", "acme-crash"): ("failed", "RuntimeError: the licence server of Acme does not answer"),
        ("cli", "acme-lacking"): ("missing-dependency", "needs the module 'acme_absent_backend'"),
        ("cli", "acme-number"): ("failed", "holds a int, not a function or a typer.Typer"),
    }
    assert found.keys() == expected.keys()
    for key, (status, message) in expected.items():
        assert found[key]["status"] == status, key
        assert message in found[key]["message"]
        assert found[key]["hint"]
        assert (found[key]["traceback"] is not None) == (status == "failed")
        assert found[key]["offers"] == []


def test_check_tells_how_to_mend_each_failure():
    done = pyimgano("plugins", "check", "acme-broken", "--json")
    assert done.returncode == 1
    told = {(r["subject"].split(" ")[-1]): (r["message"], r["remedy"]) for r in json.loads(done.stdout)["results"]}
    assert len(told) == 11
    for subject, message, remedy in [
        ("acme_broken.no_specs:MODELS", "holds a dict, not a ModelSpec", "of a sequence of specs"),
        ("acme_broken.raises:MODELS", 'raises.py", line', "`pyimgano plugins list --traceback`"),
        ("acme_broken.missing_dependency:RECIPES", "acme_absent_backend", "say so in the spec's `requires`"),
        ("acme_broken.foreign_api:COMPONENTS", "written for plugin API 999", "write it for API 1"),
        ("acme-lacking", "acme_absent_backend", "import it in the function that needs it"),
        ("acme-number", "holds a int, not a function", "'module:function'"),
    ]:
        assert message in told[subject][0]
        assert remedy in told[subject][1]


@pytest.mark.parametrize("arguments", [("plugins", "list"), ("plugins", "info", "acme-broken"), ("--list-plugins",)])
def test_broken_plugin_is_listed_for_people_too(arguments):
    done = pyimgano(*arguments)
    assert done.returncode == 0
    assert "acme-broken" in done.stdout
    assert "hello" not in done.stdout  # what it prints while it is imported is no data


def test_tracebacks_are_shown_when_asked_for():
    done = pyimgano("plugins", "list", "--traceback")
    assert done.returncode == 0
    assert 'raise RuntimeError("the licence server of Acme does not answer")' in done.stdout


def test_broken_plugin_hurts_no_listing_and_no_model(textures):
    names = {noun: pyimgano(noun, "list", "--names") for noun in ("models", "recipes", "datasets", "components")}
    assert all(done.returncode == 0 for done in names.values())
    assert "patchcore" in names["models"].stdout.split()
    assert "industrial-adapt" in names["recipes"].stdout.split()
    assert "mvtec" in names["datasets"].stdout.split()
    assert create_model("acme-mean-colour").fit(textures[0][:4]).n_images_ == 4


def test_broken_command_is_one_line_of_the_help_and_a_plain_error(tmp_path):
    shown = " ".join(pyimgano("--help").stdout.replace("│", " ").split())
    assert "acme-crash not available: RuntimeError: the licence server of Acme does not answer" in shown
    assert "acme-lacking not available: needs the module 'acme_absent_backend'" in shown
    assert pyimgano("acme-crash").returncode == 3
    lacking = pyimgano("acme-lacking")
    assert lacking.returncode == 3
    assert "hint: pip install acme_absent_backend" in lacking.stderr


def test_asking_a_broken_plugin_for_a_model_names_it():
    with pytest.raises(UnknownNameError, match="acme-broken offers nothing: RuntimeError"):
        MODELS.get("acme-dictionary")


# -- the one that claims names that are taken ------------------------------------------------------------------------


def test_taken_model_name_stays_first_party_and_the_loser_is_reachable():
    assert MODELS.get("patchcore").distribution == "pyimgano-models"
    loser = MODELS.get("acme-conflict:patchcore")
    assert (loser.distribution, loser.spec.summary) == ("acme-conflict", "Not PatchCore")
    assert type(create_model("acme-conflict:patchcore")).__name__ == "MeanImage"
    assert MODELS.get("acme-mean-image").distribution == "acme-conflict"
    done = pyimgano("models", "info", "acme-conflict:patchcore")
    assert "Not PatchCore" in done.stdout


def test_taken_command_name_stays_first_party_and_the_loser_is_reachable():
    assert "acme-conflict trains nothing" not in pyimgano("train", "--help").stdout
    assert pyimgano("acme-conflict:train").stdout == "acme-conflict trains nothing\n"


def test_conflicts_are_reported_with_the_name_to_type():
    records = json.loads(pyimgano("plugins", "list", "--json").stdout)
    found = {r["group"]: r for r in records if r["distribution"] == "acme-conflict"}
    assert {r["status"] for r in found.values()} == {"conflict"}
    assert found["pyimgano.models"]["message"] == "'patchcore' belongs to pyimgano-models"
    assert found["pyimgano.models"]["hint"] == "reach it as acme-conflict:patchcore"
    assert found["pyimgano.cli"]["message"] == "'train' belongs to pyimgano-workbench"
    assert found["pyimgano.cli"]["hint"] == "reach it as acme-conflict:train"


def test_check_tells_of_names_that_are_taken():
    done = pyimgano("plugins", "check", "acme-conflict", "--only", "train", "--json")
    (result,) = json.loads(done.stdout)["results"]
    assert (done.returncode, result["message"]) == (1, "'train' belongs to pyimgano-workbench")
    assert "put your distribution's name in front" in result["remedy"]


def test_doctor_warns_of_broken_and_conflicting_plugins_and_finds_no_problem_in_them():
    report = json.loads(pyimgano("doctor", "--json").stdout)
    about = [f for f in report["findings"] if f["message"].startswith("acme-") and f["status"] != "ok"]
    assert {f["status"] for f in about} == {"warning"}
    assert any("acme-conflict" in f["message"] for f in about)
    assert sum("acme-broken" in f["message"] for f in about) == 11


# -- all of them switched off ----------------------------------------------------------------------------------------


def test_plugins_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("PYIMGANO_PLUGINS", "none")
    forget_plugins()
    try:
        for registry in (MODELS, RECIPES, DATASETS, COMPONENTS):
            assert not [entry for entry in registry.entries() if entry.distribution in ACME]
            assert registry.names()
    finally:
        monkeypatch.undo()
        forget_plugins()
    for arguments in (["--help"], ["plugins", "list"], ["--list-models"], ["--list-plugins"]):
        done = pyimgano(*arguments, PYIMGANO_PLUGINS="none")
        assert done.returncode == 0
        assert "acme" not in done.stdout + done.stderr
    assert pyimgano("acme-report", ".", PYIMGANO_PLUGINS="none").returncode == 2


def test_plugins_can_be_selected():
    listed = pyimgano("--list-plugins", PYIMGANO_PLUGINS="acme-inspect").stdout.split()
    assert [name for name in listed if name in ACME] == ["acme-inspect"]
