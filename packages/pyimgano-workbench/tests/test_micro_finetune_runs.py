"""The recipe micro-finetune on real images: what a run leaves, its verdict, resuming, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pyimgano.core.errors import ConfigError, DatasetError, RunError
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.inference import RunModels
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.records import read_records
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.summary import run_summary
from pyimgano.workbench.training import resume_run, run_recipe

SMALL = {
    "stfpm": ("model.params.learning_rate=0.05", "model.params.batch_size=8"),
    "patchcore": ("model.params.coreset_sampling_ratio=0.05", "model.params.batch_size=8"),
}
COMMON = (
    "model.params.input_size=64",
    "model.params.backbone=efficientnet-lite0",
    "calibration.alpha=0.2",
    "recipe_params.epochs=2",
    "recipe_params.validation_defects=8",
    "output.report=false",
)


def config_of(data: Path, runs: Path, *settings: str, model: str = "stfpm") -> Any:
    flags = {"dataset.root": data, "model.name": model, "output.dir": runs}
    return load_run_config(settings=["recipe=micro-finetune", *COMMON, *SMALL[model], *settings], flags=flags)


def train(data: Path, *settings: str, model: str = "stfpm") -> RunDirectory:
    return run_recipe(config_of(data, data.parent / "runs", *settings, model=model))


@pytest.fixture
def cells(make_cells: Callable[..., Path], tmp_path: Path) -> Path:
    return make_cells(tmp_path / "cells", train=24, good=8, defective=8)


@pytest.mark.parametrize(("model", "mode"), [("stfpm", "full"), ("patchcore", "backbone-adapt")])
def test_a_run_says_whether_training_helped_and_infer_gives_its_scores(cells: Path, model: str, mode: str) -> None:
    run = train(cells, model=model)
    folder = run.category("cells")
    report = folder.report()
    told = report["finetune"]
    assert (told["mode"], told["epochs"], told["ended"]) == (mode, 2.0, "planned length")
    auroc = told["differences"]["image_auroc"]
    known = {"better": "helped", "worse": "harmed", "not shown": "no difference is shown", "not tested": "not tested"}
    assert told["verdict"] == ("unchanged" if told["kept"] == 0 else known[auroc["verdict"]])
    assert told["n_train"] + told["n_validation"] == report["data"]["n_fit"]
    assert auroc["b"] == pytest.approx(report["metrics"]["image_auroc"]["value"])
    assert set(told["differences"]) == {"image_auroc", "image_ap", "overkill", "escape"}
    frozen = read_records(run.path / "training/cells/frozen.jsonl")
    tuned = read_records(folder.per_image)
    assert [record.image for record in frozen] == [record.image for record in tuned]
    same = [record.score for record in frozen] == [record.score for record in tuned]
    assert same == (told["kept"] == 0)
    assert any(f"training: {told['verdict']}" in line for line in run_summary(run))
    models = RunModels(run)
    for record in tuned[::5]:
        path = cells / record.image
        fitted = models.fitted(Source(record.image, path))
        assert float(fitted.detector.decision_function([path])[0]) == record.score


def test_an_adapted_backbone_is_saved_with_its_memory(cells: Path) -> None:
    from safetensors.numpy import load_file

    run = train(cells, "recipe_params.keep=last", model="patchcore")
    saved = load_file(run.path / "checkpoints/cells/state.safetensors")
    adapted = [name for name in saved if name.startswith("adapted.")]
    assert adapted
    assert all(name.startswith(("adapted.network.body.blocks.3", "adapted.network.body.blocks.4")) for name in adapted)
    record = json.loads((run.path / "checkpoints/cells/detector.json").read_text(encoding="utf-8"))
    assert len(record["facts"]["extractor"]["adapted_sha256"]) == 64


def test_low_rank_updates_are_merged_into_what_is_saved(cells: Path) -> None:
    from safetensors.numpy import load_file

    start = train(cells, "output.name=start")
    run = train(
        cells,
        "recipe_params.mode=lora",
        "recipe_params.lora_rank=2",
        "recipe_params.keep=last",
        f"recipe_params.start_from={start.path.as_posix()}",
    )
    before, after = (load_file(one.path / "checkpoints/cells/state.safetensors") for one in (start, run))
    assert set(before) == set(after)
    changed = [name for name in before if name != "losses" and not np.array_equal(before[name], after[name])]
    assert changed
    assert all(before[name].ndim == 4 for name in changed)  # convolutions, and no BatchNorm
    rank = np.linalg.matrix_rank((after[changed[0]] - before[changed[0]]).reshape(len(after[changed[0]]), -1), tol=1e-6)
    assert 1 <= rank <= 2


def test_training_from_a_run_starts_where_that_run_ended(cells: Path) -> None:
    start = train(cells, "output.name=start")
    run = train(cells, f"recipe_params.start_from={start.path.as_posix()}", "recipe_params.max_steps=1")
    frozen = {record.image: record.score for record in read_records(run.path / "training/cells/frozen.jsonl")}
    ended = {record.image: record.score for record in read_records(start.category("cells").per_image)}
    assert frozen == ended
    kept = json.loads((run.path / "config.json").read_text(encoding="utf-8"))["recipe_params"]["start_from"]
    assert kept == "../start"
    with pytest.raises(ConfigError, match=r"model.params.input_size is 96, and the detector .* has 64"):
        train(cells, f"recipe_params.start_from={start.path.as_posix()}", "model.params.input_size=96")
    with pytest.raises(RunError, match="neither a run nor a saved detector"):
        train(cells, f"recipe_params.start_from={cells.as_posix()}")


CHILD = """
import os, signal, sys
from pyimgano.models.stfpm import STFPM
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.train import runner
from pyimgano.workbench.training import run_recipe
runner.SAVE_SECONDS = 0.0
step = STFPM.training_step
def dying(self, batch, masks=None):
    if self._steps == 3:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return step(self, batch, masks)
STFPM.training_step = dying
data, runs, *settings = sys.argv[1:]
flags = {"dataset.root": data, "model.name": "stfpm", "output.dir": runs}
run_recipe(load_run_config(settings=settings, flags=flags))
"""


def test_a_run_killed_while_it_trains_is_finished_with_the_same_bytes(cells: Path, tmp_path: Path) -> None:
    expected = train(cells)
    settings = ["recipe=micro-finetune", *COMMON, *SMALL["stfpm"]]
    command = [sys.executable, "-c", CHILD, str(cells), str(tmp_path / "killed"), *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -getattr(signal, "SIGKILL", signal.SIGTERM), done.stderr
    left = next((tmp_path / "killed").glob("*.incomplete"))
    run = resume_run(left)
    for name in ("categories/cells/per_image.jsonl", "checkpoints/cells/state.safetensors"):
        assert (run.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    one, other = (r.category("cells").report()["finetune"] for r in (run, expected))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_the_same_config_gives_the_same_bytes(cells: Path) -> None:
    first = train(cells)
    again = run_recipe(load_run_config(first.path / "config.json"))
    assert again.category("cells").per_image.read_bytes() == first.category("cells").per_image.read_bytes()


@pytest.mark.parametrize(
    ("settings", "key", "message"),
    [
        (["recipe_params.mode=backbone-adapt"], "recipe_params.mode", "mode = 'backbone-adapt'"),
        (["recipe_params.lr=-1"], "recipe_params.lr", "lr = -1"),
        (["recipe_params.leaning_rate=0.1"], "recipe_params.leaning_rate", "unknown parameter"),
        (["recipe_params.defects=train"], "recipe_params.defects", "learns from good images only"),
        (["recipe_params.optimizer=lion"], "recipe_params.optimizer", "optimizer = 'lion'"),
    ],
)
def test_what_the_model_does_not_know_is_an_error_of_the_config(
    cells: Path, settings: list[str], key: str, message: str
) -> None:
    with pytest.raises(ConfigError) as told:
        config_of(cells, cells.parent / "runs", *settings)
    assert message in str(told.value)
    assert key in str(told.value)
    assert not (cells.parent / "runs").exists()


def test_a_model_that_cannot_be_trained_is_refused_before_anything_is_read(cells: Path) -> None:
    flags = {"dataset.root": cells, "model.name": "pixel-gaussian", "output.dir": cells.parent / "runs"}
    with pytest.raises(ConfigError, match="nothing that could be trained"):
        load_run_config(settings=["recipe=micro-finetune"], flags=flags)


def test_a_training_is_measured_by_the_kinds_of_defects_that_were_chosen(cells: Path) -> None:
    measured = []
    for kinds in (["tape"], ["tape"], ["pit"]):
        run = train(cells, "recipe_params.max_steps=1", f"recipe_params.synthetic_defects={json.dumps(kinds)}")
        measured.append(run.category("cells").report()["finetune"]["start"])
        kept = json.loads((run.path / "config.json").read_text(encoding="utf-8"))["recipe_params"]
        assert kept["synthetic_defects"] == kinds
    assert measured[0] == measured[1]
    assert measured[0] != measured[2]


def test_calibration_that_would_train_a_model_per_fold_is_refused(cells: Path) -> None:
    with pytest.raises(ConfigError, match="would train a model for every fold"):
        train(cells, "calibration.method=cross-conformal")


def test_too_few_images_to_measure_by_are_refused(make_cells: Callable[..., Path], tmp_path: Path) -> None:
    few = make_cells(tmp_path / "few", train=5, good=2, defective=2)
    with pytest.raises(DatasetError, match="cannot hold out"):
        train(few, "recipe_params.validation=4", "calibration.holdout=4")


def test_a_diverging_run_keeps_its_best_state_and_resuming_ends_with_it(cells: Path) -> None:
    with pytest.raises(Exception, match=r"at step \d+ .*is kept") as told:
        train(cells, "recipe_params.lr=1e30", "output.name=diverged")
    assert "pyimgano train --resume" in str(getattr(told.value, "hint", ""))
    run = resume_run(cells.parent / "runs" / "diverged")
    finetune = run.category("cells").report()["finetune"]
    assert "at step" in finetune["ended"]
    assert finetune["kept"] == finetune["best"]["step"] == 0
    assert finetune["differences"]["image_auroc"]["difference"] == 0.0
    assert finetune["verdict"] == "unchanged"


def test_the_report_is_of_its_schema(cells: Path) -> None:
    import jsonschema

    from pyimgano.workbench.schemas import json_schema

    report = train(cells).category("cells").report()
    jsonschema.validate(report, json_schema("category-report"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {**report, "finetune": {**report["finetune"], "verdict": "great"}}, json_schema("category-report")
        )
