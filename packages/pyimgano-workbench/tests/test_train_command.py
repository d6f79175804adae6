"""The commands train and runs in processes of their own: output, exit codes, errors, progress."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
from jsonschema import Draft202012Validator

from pyimgano.workbench.runs import open_run
from pyimgano.workbench.schemas import json_schema


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands")


@pytest.fixture
def cells(make_cells: Callable[..., Path], folder: Path) -> Path:
    root = folder / "cells"
    return root if root.exists() else make_cells(root, train=20, good=4, defective=4)


def pyimgano(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyimgano.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done


BASE = ("--model", "pixel-gaussian", "--set", "model.params.input_size=32", "--set", "calibration.alpha=0.2")


def test_train_prints_the_runs_path_and_tells_people_the_rest(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "train", "--dataset", "cells", *BASE, "--output", "a", "--seed", 7)
    assert done.returncode == 0, done.stderr
    run = open_run(done.stdout.strip())
    assert run.path.parent == folder / "a"
    assert run.report()["seed"] == 7
    for text in (
        "cells: fit pixel-gaussian (16)",
        "cells: fitted on 16 good images, tested on 4 good + 4 defective",
        "from n = 4 held-out good images (conformal, alpha = 0.2)",
        "image AUROC ",
        "overkill ",
        "/4 = ",
        f'next: pyimgano infer --from-run "{run.path}"',
    ):
        assert text in done.stderr, text


def test_train_json_is_the_report_and_nothing_else(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "train", "--dataset", "cells", *BASE, "--output", "b", "--json")
    report = json.loads(done.stdout)
    assert report == open_run(folder / "b" / report["run"]).report()


def test_quiet_leaves_only_the_path(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "-q", "train", "--dataset", "cells", *BASE, "--output", "c")
    assert done.stderr == ""
    assert Path(done.stdout.strip()).is_dir()


def test_a_config_file_with_settings_and_flags(cells: Path, folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/run.toml").write_text(
        'preset = "fast"\nseed = 1\n[dataset]\nroot = "../cells"\n[model]\nname = "pixel-gaussian"\n'
        '[model.params]\ninput_size = 32\n[calibration]\nalpha = 0.2\n[output]\ndir = "../d"\n'
    )
    done = pyimgano(folder, "train", "--config", "configs/run.toml", "--set", "seed=2", "--set", "output.name=mine")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == folder / "d" / "mine"
    assert open_run(folder / "d/mine").config().seed == 2


def test_a_dry_run_checks_config_and_data_and_leaves_nothing(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "train", "--dataset", "cells", *BASE, "--output", "e", "--dry-run")
    assert done.returncode == 0
    assert json.loads(done.stdout)["model"]["name"] == "pixel-gaussian"
    assert "16 good images to fit on, 4 held out, test 4 good + 4 defective" in done.stderr
    assert not (folder / "e").exists()
    done = pyimgano(folder, "train", "--dataset", "cells", *BASE, "--set", "calibration.alpha=0.01", "--dry-run")
    assert (done.returncode, done.stdout) == (4, "")
    assert "needs at least 99 held-out good images, there are 4" in done.stderr


def test_a_dry_run_tells_what_the_fit_needs_and_prints_the_config_alone(cells: Path, folder: Path) -> None:
    small = ("--set", "model.params.input_size=64", "--set", "calibration.alpha=0.2", "--dry-run")
    done = pyimgano(folder, "train", "--dataset", "cells", *small)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["name"] == "patchcore"
    # 16 images of 8 × 8 patches, a tenth of which is kept.
    assert "the fitted detector takes 62 kB: 102 of 1,024 patches, 152 numbers each" in done.stderr
    assert (
        "calibration: conformal: 20 % of good images may be rejected; 20 % of the good images held out" in done.stderr
    )
    both = json.loads(pyimgano(folder, "train", "--dataset", "cells", *small, "--json").stdout)
    Draft202012Validator(json_schema("plan")).validate(both)
    assert both["config"] == json.loads(done.stdout)
    (category,) = both["plan"]["categories"]
    assert category["images"]["fit"] == 16
    assert category["estimate"]["state_bytes"] == 102 * 152 * 4
    assert category["estimate"]["fit_seconds"] > 0


def test_a_dry_run_invents_nothing_where_there_is_no_rule(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "train", "--dataset", "cells", *BASE, "--dry-run", "--json")
    plan = json.loads(done.stdout)["plan"]
    Draft202012Validator(json_schema("plan")).validate({"config": {}, "plan": plan})
    assert (plan["seconds"], plan["peak_bytes"], plan["categories"][0]["estimate"]) == (None, None, None)
    assert "not estimated: the model 'pixel-gaussian' has no rule for it" in done.stderr
    trained = ("--set", "recipe=micro-finetune", "--set", "calibration.alpha=0.2", "--dry-run")
    done = pyimgano(folder, "train", "--dataset", "cells", *trained)
    assert done.returncode == 0, done.stderr
    assert "not estimated: the recipe 'micro-finetune' does not say how often it fits" in done.stderr


def test_typos_of_a_config_are_told_all_at_once_with_exit_code_2(cells: Path, folder: Path) -> None:
    (folder / "typos.json").write_text(
        '{\n "sead": 1,\n "dataset": {"root": "cells"},\n "model": {"name": "padimm"}\n}'
    )
    done = pyimgano(folder, "train", "--config", "typos.json", "--set", "output.mapps=true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: 3 problems in the run config:" in done.stderr
    assert "typos.json:2:2: sead: unknown key" in done.stderr
    assert "did you mean 'seed'?" in done.stderr
    assert "typos.json:4:12: model.name: unknown model 'padimm'" in done.stderr
    assert "--set output.mapps=true: output.mapps: unknown key" in done.stderr


def test_train_without_anything_says_what_to_type(folder: Path) -> None:
    done = pyimgano(folder, "train")
    assert done.returncode == 2
    assert "--config FILE, or --dataset PATH" in done.stderr


def test_an_unreadable_test_image_ends_with_exit_code_4_and_a_complete_run(
    make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    cells = make_cells(tmp_path / "cells", train=20, good=4, defective=4)
    (cells / "test/good/000.png").write_bytes(b"no image")
    done = pyimgano(tmp_path, "train", "--dataset", "cells", *BASE)
    assert done.returncode == 4
    assert open_run(done.stdout.strip()).report()["errors"]["n"] == 1
    assert "1 of 8 test images have no score (more than max_errors = 0)" in done.stderr
    done = pyimgano(tmp_path, "train", "--dataset", "cells", *BASE, "--set", "max_errors=1")
    assert done.returncode == 0
    assert "(tolerated)" in done.stderr


def test_resume_stands_alone(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "train", "--resume", "nowhere", "--seed", 1)
    assert done.returncode == 2
    assert "--resume RUN alone" in done.stderr
    done = pyimgano(folder, "train", "--resume", "nowhere")
    assert done.returncode == 5
    assert "there is no such run" in done.stderr


def test_runs_list_and_show(cells: Path, folder: Path) -> None:
    path = Path(pyimgano(folder, "train", "--dataset", "cells", *BASE, "--output", "f").stdout.strip())
    unfinished = path.with_name("20310101T000000Z_cells_train.incomplete")
    unfinished.mkdir()
    for name in ("config.json", "environment.json"):
        (unfinished / name).write_bytes((path / name).read_bytes())
    listed = pyimgano(folder, "runs", "list", "f")
    assert [line.split()[:3] for line in listed.stdout.splitlines()[1:]] == [
        [path.name, "complete", "pixel-gaussian"],
        ["20310101T000000Z_cells_train", "incomplete", "pixel-gaussian"],
    ]
    as_json = json.loads(pyimgano(folder, "runs", "list", "f", "--json").stdout)
    assert [entry["state"] for entry in as_json] == ["complete", "incomplete"]
    assert as_json[0]["means"]["image_auroc"]["n_categories"] == 1
    shown = pyimgano(folder, "runs", "show", path)
    assert "overkill " in shown.stdout
    assert "made with Python" in shown.stdout
    facts = json.loads(pyimgano(folder, "runs", "show", path, "--json").stdout)
    assert facts["report"] == open_run(path).report()
    shown = pyimgano(folder, "runs", "show", unfinished)
    assert shown.returncode == 0
    assert f'incomplete; finish it with: pyimgano train --resume "{unfinished}"' in shown.stdout
    done = pyimgano(folder, "train", "--resume", unfinished)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).name == "20310101T000000Z_cells_train"


def test_listing_a_folder_that_is_not_there_is_an_error(folder: Path) -> None:
    done = pyimgano(folder, "runs", "list", "nowhere")
    assert done.returncode == 5
    assert "pyimgano runs list DIR" in done.stderr


def test_listings_of_train(folder: Path) -> None:
    rows = [line.split(maxsplit=4) for line in pyimgano(folder, "train", "--list-recipes").stdout.splitlines()]
    assert ["industrial-adapt", "balanced,", "fast,", "accurate,"] in [row[:4] for row in rows]
    assert "pixel-gaussian" in pyimgano(folder, "train", "--list-models").stdout


def test_the_command_modules_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import pyimgano.workbench.commands.train, pyimgano.workbench.commands.runs, pyimgano.recipes.specs\n"
        "import pyimgano.workbench.commands.robust_benchmark, pyimgano.workbench.specs\n"
        "print([name for name in ('numpy', 'pydantic', 'torch', 'cv2', 'scipy', 'sklearn') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "cells", "--dry-run"), "--download: a dry run downloads nothing"),
        (("--resume", "a/run"), "--resume: a run is resumed with its own config"),
    ],
)
def test_download_is_refused_where_it_would_do_nothing(cells: Path, folder: Path, arguments, message) -> None:
    done = pyimgano(folder, "train", *arguments, "--download")
    assert done.returncode == 2
    assert message in done.stderr


def test_download_of_weights_that_are_here_opens_no_connection_and_trains(cells: Path, folder: Path) -> None:
    done = pyimgano(folder, "train", "--dataset", "cells", *BASE, "--output", "downloaded", "--download")
    assert done.returncode == 0, done.stderr
    assert "the model pixel-gaussian names no backbone: nothing to download" in done.stderr
    assert open_run(done.stdout.strip()).report()["seed"] == 0
