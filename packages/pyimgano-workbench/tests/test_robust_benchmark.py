"""`pyimgano robust-benchmark`: real runs under drift at their frozen threshold, resumable, the same bytes each time."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.creation import create_component, load_model
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.images import read_image, write_png
from pyimgano.core.seeding import generator
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.records import read_records
from pyimgano.workbench.robust.conditions import CLEAN
from pyimgano.workbench.robust.measuring import measure_condition
from pyimgano.workbench.robust.subject import load_subject
from pyimgano.workbench.robust.tables import CSV_COLUMNS
from pyimgano.workbench.runs import open_run
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.training import run_recipe

DRIFTS = """
import os, time
from dataclasses import dataclass
from pyimgano.core.specs import ComponentSpec

SPECS = tuple(
    ComponentSpec(name, name, f"tst_drifts:{factory}", kind="augment")
    for name, factory in (
        ("tst-same", "Same"), ("tst-bright", "Bright"), ("tst-breaks", "Breaks"), ("tst-waits", "Waits"),
        ("tst-dies", "Dies"),
    )
)

@dataclass(frozen=True)
class Same:
    severity: int = 3
    geometric = False
    def __call__(self, image, rng, *, mask=None):
        return image.copy(), mask

class Bright(Same):
    def __call__(self, image, rng, *, mask=None):
        return image + (255 - image) // (6 - self.severity), mask

class Breaks(Same):
    "Fails on every image whose first pixel is even."
    def __call__(self, image, rng, *, mask=None):
        if image[0, 0, 0] % 2 == 0:
            raise ValueError("no luck")
        return image[:-1] if image[0, 0, 0] % 3 == 0 else image, mask

class Waits(Same):
    def __call__(self, image, rng, *, mask=None):
        if not os.path.exists(os.environ["TST_GO"]):
            open(os.environ["TST_GO"] + ".waiting", "w").close()
            time.sleep(600)
        return image, mask

class Dies(Same):
    def __call__(self, image, rng, *, mask=None):
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def drifts(plug_in: Callable[..., Path]) -> None:
    plug_in("tst-drifts", {"pyimgano.components": {"tst-drifts": "tst_drifts:SPECS"}}, {"tst_drifts": DRIFTS})


def robust(*arguments: object) -> int:
    try:
        return main(["robust-benchmark", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


def document(folder: Path) -> dict[str, Any]:
    found = load_json(folder / "robustness.json")
    Draft202012Validator(json_schema("robustness")).validate(found)
    return found


def condition(found: dict[str, Any], drift: str | None, severity: int) -> dict[str, Any]:
    return next(one for one in found["conditions"] if (one["drift"], one["severity"]) == (drift, severity))


def test_every_score_is_that_of_the_drifted_image_and_every_rate_its_share(
    texture_runs: dict[str, Path], tmp_path: Path
) -> None:
    run, out = texture_runs["fine"], tmp_path / "out"
    assert (
        robust("--from-run", run, "--drifts", "exposure,rotation", "--severities", "5,1", "--seed", 7, "-o", out) == 0
    )
    found = document(out)
    assert [(one["drift"], one["severity"]) for one in found["conditions"]] == [
        (None, 0),
        ("exposure", 1),
        ("exposure", 5),
        ("rotation", 1),
        ("rotation", 5),
    ]
    plan = load_json(out / "plan.json")
    root = Path(load_json(run / "config.json")["dataset"]["root"])
    root = root if root.is_absolute() else (run / root).resolve()
    for category in ("brick", "grass"):
        detector = load_model("pixel-gaussian", run / "checkpoints" / category)
        part = plan["categories"][category]
        drift = create_component("augment", "rotation", {"severity": 5})
        images = []
        for row in part["images"]:
            image = read_image(root / row["image"])
            images.append(drift(image, generator(7, "drift", "rotation", 5, row["image"]))[0])
        kept = load_json(out / "conditions" / "rotation-5.json")["categories"][category]["scores"]
        assert kept == detector.infer(images).image_scores.tolist()
        labels = np.array([row["label"] for row in part["images"]])
        rejected = np.array(kept) >= part["threshold"]
        clean = np.array(load_json(out / "conditions" / "clean.json")["categories"][category]["scores"])
        one = condition(found, "rotation", 5)["categories"][category]
        assert one["levels"]["overkill"]["value"] == rejected[labels == 0].mean()
        assert one["levels"]["recall"]["value"] == rejected[labels == 1].mean()
        change = one["changes"]["overkill"]
        was = clean >= part["threshold"]
        assert (change["only_b"], change["only_a"]) == (
            (rejected & ~was)[labels == 0].sum(),
            (was & ~rejected)[labels == 0].sum(),
        )
        assert change["interval"][0] <= change["difference"] <= change["interval"][1]
    means = condition(found, "rotation", 5)
    by_category = means["categories"].values()
    for name in ("overkill", "recall", "image_auroc"):
        values = [one["levels"][name]["value"] for one in by_category]
        assert means["levels"][name]["value"] == pytest.approx(np.mean(values))
    with open(out / "robustness.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 5 * 3
    row = next(row for row in rows if (row["drift"], row["severity"], row["category"]) == ("rotation", "5", "brick"))
    expected = means["categories"]["brick"]
    assert float(row["recall"]) == expected["levels"]["recall"]["value"]
    assert float(row["overkill_change"]) == expected["changes"]["overkill"]["difference"]


def test_the_clean_condition_is_what_the_run_itself_has_measured(texture_runs: dict[str, Path], tmp_path: Path) -> None:
    run, out = texture_runs["one"], tmp_path / "out"
    assert robust("--from-run", run, "--drifts", "jpeg", "--severities", 2, "-o", out) == 0
    found = document(out)
    assert found["own_images"] is True
    report = open_run(run).category("brick").report()
    clean = found["conditions"][0]
    for name in ("overkill", "recall", "image_auroc"):
        assert clean["levels"][name] == report["metrics"][name]
    scores = load_json(out / "conditions" / "clean.json")["categories"]["brick"]["scores"]
    by_image = {record.image: record.score for record in read_records(open_run(run).category("brick").per_image)}
    images = [row["image"] for row in load_json(out / "plan.json")["categories"]["brick"]["images"]]
    assert scores == [by_image[image] for image in images]


def test_regions_decide_under_drift_where_they_decide_in_the_run(texture_runs: dict[str, Path], tmp_path: Path) -> None:
    flags = {
        "calibration.alpha": 0.2,
        "postprocess.maps": [{"name": "smooth", "params": {"sigma": 4}}],
        "postprocess.border": 8,
        "regions.decide": "regions",
        "regions.min_area": 400,
        "output.dir": tmp_path / "runs",
        "output.name": "regions",
    }
    run = run_recipe(load_run_config(texture_runs["one"] / "config.json", flags=flags))
    assert robust("--from-run", run.path, "--drifts", "jpeg", "--severities", 1, "-o", tmp_path / "out") == 0
    kept = load_json(tmp_path / "out" / "conditions" / "clean.json")["categories"]["brick"]
    records = {record.image: record for record in read_records(run.category("brick").per_image)}
    images = [row["image"] for row in load_json(tmp_path / "out" / "plan.json")["categories"]["brick"]["images"]]
    assert kept["scores"] == [records[image].score for image in images]
    assert kept["rejected"] == [records[image].decision == "defective" for image in images]
    by_score = [score >= records[images[0]].threshold for score in kept["scores"]]
    assert by_score != kept["rejected"]  # the rules on regions have a say
    clean = document(tmp_path / "out")["conditions"][0]
    metrics = run.category("brick").report()["metrics"]
    assert clean["levels"]["overkill"]["value"] == metrics["overkill"]["value"]
    assert clean["levels"]["recall"]["value"] == metrics["recall"]["value"]


@pytest.mark.usefixtures("drifts")
def test_a_drift_that_does_nothing_changes_nothing(texture_runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert robust("--from-run", texture_runs["fine"], "--drifts", "tst-same", "--severities", "1,3", "-o", out) == 0
    found = document(out)
    clean = found["conditions"][0]
    for one in found["conditions"][1:]:
        assert one["levels"] == clean["levels"]
        assert {change["difference"] for change in one["changes"].values()} == {0.0}
        assert {change["verdict"] for change in one["changes"].values()} <= {"not shown", "not tested"}
    assert found["summary"]["overkill_gained"]["value"] == found["summary"]["recall_lost"]["value"] == 0.0
    assert not (out / "worst.png").exists()


def test_the_same_seed_gives_the_same_bytes_in_one_process_or_in_two(
    texture_runs: dict[str, Path], tmp_path: Path
) -> None:
    ask = ("--from-run", texture_runs["one"], "--drifts", "sensor-noise,shadow", "--severities", "2,4")
    for name, more in (("one", ()), ("two", ("--jobs", 2)), ("other", ("--seed", 1))):
        assert robust(*ask, *more, "-o", tmp_path / name) == 0
    for name in ("robustness.json", "robustness.csv", "report.html", "plan.json", "conditions/shadow-4.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    one, other = (load_json(tmp_path / name / "conditions" / "shadow-4.json") for name in ("one", "other"))
    assert one != other


@pytest.mark.usefixtures("drifts")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_benchmark_goes_on_where_it_was(
    texture_runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go, out = tmp_path / "go", tmp_path / "out"
    monkeypatch.setenv("TST_GO", str(go))
    ask = ("--from-run", texture_runs["one"], "--drifts", "tst-bright,tst-waits", "--severities", "1,5", "-o", out)
    command = [sys.executable, "-m", "pyimgano.cli", "robust-benchmark", *map(str, ask)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        for _ in range(600):
            if (tmp_path / "go.waiting").exists():
                break
            time.sleep(0.1)
        assert robust(*ask) == 5
        assert "another process is working" in capsys.readouterr().err
        os.kill(process.pid, signal.SIGKILL)
    done = sorted(path.name for path in (out / "conditions").glob("*.json"))
    assert done == ["clean.json", "tst-bright-1.json", "tst-bright-5.json"]
    before = {name: (out / "conditions" / name).stat().st_mtime_ns for name in done}
    go.touch()
    assert robust(*ask) == 0
    assert "3 of 5 conditions are measured already" in capsys.readouterr().err
    assert {name: (out / "conditions" / name).stat().st_mtime_ns for name in done} == before
    assert robust(*ask[:-1], tmp_path / "whole") == 0
    assert (out / "robustness.json").read_bytes() == (tmp_path / "whole" / "robustness.json").read_bytes()


@pytest.mark.usefixtures("drifts")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_process_that_dies_is_told_with_its_condition_and_costs_nothing_that_is_measured(
    texture_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("--from-run", texture_runs["one"], "--severities", 2, "--limit", 6, "--jobs", 2, "-o", tmp_path / "out")
    assert robust(*ask, "--drifts", "tst-same,tst-dies") == 1
    error = capsys.readouterr().err
    assert "tst-dies 2: the process was killed by SIGKILL" in error
    assert "a smaller --jobs takes less memory" in error
    assert robust(*ask, "--drifts", "tst-same") == 0


@pytest.mark.usefixtures("drifts")
def test_an_image_that_cannot_be_drifted_is_an_error_and_no_verdict(
    texture_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("--from-run", texture_runs["one"], "--drifts", "tst-breaks", "--severities", 3, "-o", tmp_path / "out")
    assert robust(*ask) == 4
    found = document(tmp_path / "out")
    one = condition(found, "tst-breaks", 3)
    root = Path(texture_runs["one"]).parents[1] / "textures"
    rows = load_json(tmp_path / "out" / "plan.json")["categories"]["brick"]["images"]
    first = {row["image"]: read_image(root / row["image"])[0, 0, 0] for row in rows}
    failing = {image for image, value in first.items() if value % 2 == 0 or value % 3 == 0}
    assert 0 < len(failing) < len(first)
    assert {error["image"] for error in found["errors"]} == failing
    assert one["errors"] == len(failing)
    assert one["n_good"] + one["n_defective"] == len(first) - len(failing)
    assert one["levels"]["overkill"]["n"]["good"] == one["n_good"]
    assert any("tst-breaks 3 failed: ValueError: no luck" in error["error"] for error in found["errors"])
    assert any("made shape" in error["error"] for error in found["errors"])
    assert "more than --max-errors 0" in capsys.readouterr().err
    assert robust(*ask, "--max-errors", len(failing)) == 0


def test_without_defective_images_recall_is_null_with_its_reason(
    make_cells: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_cells(tmp_path / "cells", train=20, good=6, defective=0)
    shutil.rmtree(data / "test" / "crack")
    ask = ("--dataset", data, "--model", "pixel-gaussian", "--set", "calibration.alpha=0.2")
    assert robust(*ask, "--drifts", "glare", "--severities", 5, "-o", tmp_path / "out") == 0
    found = document(tmp_path / "out")
    assert "NaN" not in (tmp_path / "out" / "robustness.json").read_text(encoding="utf-8")
    one = condition(found, "glare", 5)
    assert one["levels"]["recall"] == {"value": None, "n": {"defective": 0}, "reason": "no defective test images"}
    assert one["changes"]["recall"]["difference"] is None
    assert one["balanced_accuracy"] is None
    assert found["summary"]["retained"]["reason"] == "no defective test images"
    assert found["summary"]["overkill_gained"]["value"] is not None
    assert found["summary"]["worst"]["drift"] == "glare"
    assert "no defective test images, so recall is not defined" in capsys.readouterr().err


def test_a_config_is_trained_first_and_not_again(
    make_cells: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make_cells(tmp_path / "cells", train=20, categories=("a", "b")), tmp_path / "out"
    ask = ("--dataset", data, "--model", "pixel-gaussian", "--set", "calibration.alpha=0.2", "-o", out)
    assert robust(*ask, "--drifts", "defocus", "--severities", 1, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == document(out)
    assert [category["name"] for category in printed["categories"]] == ["a", "b"]
    finished = (out / "runs" / "run" / "report.json").stat().st_mtime_ns
    assert robust(*ask, "--drifts", "defocus,scale", "--severities", "1") == 0
    assert (out / "runs" / "run" / "report.json").stat().st_mtime_ns == finished
    assert "2 of 3 conditions are measured already" in capsys.readouterr().err
    assert robust(*ask, "--set", "model.params.input_size=16") == 2
    assert "holds a run of another config" in capsys.readouterr().err


def test_a_limit_keeps_the_shares_of_the_labels(texture_runs: dict[str, Path], tmp_path: Path) -> None:
    ask = ("--from-run", texture_runs["one"], "--drifts", "jpeg", "--severities", 1, "--limit", 8)
    assert robust(*ask, "-o", tmp_path / "out") == 0
    images = load_json(tmp_path / "out" / "plan.json")["categories"]["brick"]["images"]
    assert [sum(row["label"] == label for row in images) for label in (0, 1)] == [4, 4]
    assert len({row["defect"] for row in images if row["label"] == 1}) == 3


@pytest.fixture
def moved(texture_runs: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A run whose dataset is gone, and where it lies now."""
    run = Path(shutil.copytree(texture_runs["one"], tmp_path / "moved" / "one"))
    dataset = tmp_path / "elsewhere"
    shutil.copytree(texture_runs["one"].parents[1] / "textures" / "brick", dataset / "brick")
    return run, dataset


def test_a_dataset_that_moved_is_named_and_its_images_are_checked(
    moved: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, dataset = moved
    ask = ("--from-run", run, "--drifts", "jpeg", "--severities", 1)
    assert robust(*ask, "-o", tmp_path / "a") == 4
    error = capsys.readouterr().err
    assert "the run's dataset is not there" in error
    assert "--dataset PATH" in error
    assert robust(*ask, "--dataset", dataset, "-o", tmp_path / "a") == 0
    assert document(tmp_path / "a")["own_images"] is True
    # At the place that the config names: what is missing or has changed is an error; elsewhere it is another dataset.
    config = load_json(run / "config.json")
    dump_json({**config, "dataset": {**config["dataset"], "root": str(dataset)}}, run / "config.json")
    image = dataset / "brick" / "test" / "good" / "003.png"
    picture = read_image(image)
    write_png(255 - picture, image)
    assert robust(*ask, "-o", tmp_path / "b") == 4
    assert "have the same names as in the run, but other contents" in capsys.readouterr().err
    image.unlink()
    assert robust(*ask, "-o", tmp_path / "b") == 4
    assert "1 of the 36 test images of the run are missing: brick/test/good/003.png" in capsys.readouterr().err
    assert robust(*ask, "--dataset", dataset, "-o", tmp_path / "b") == 0
    found = document(tmp_path / "b")
    assert found["own_images"] is False
    assert any("tested as another dataset than the run's own" in note for note in found["notes"])
    assert found["categories"][0]["n_good"] == 17


def test_another_run_is_measured_on_the_same_drifted_images(
    texture_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("--drifts", "exposure,defocus", "--severities", "2,5")
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    assert robust("--from-run", texture_runs["fine"], "--compare", texture_runs["coarse"], *ask, "-o", out) == 0
    shown = capsys.readouterr().out
    by_run = document(out)["comparison"]
    assert (by_run["a"]["name"], by_run["b"]["name"]) == ("coarse", "fine")
    assert all(sentence in shown for sentence in by_run["answer"])
    assert robust("--from-run", texture_runs["coarse"], *ask, "-o", theirs) == 0
    assert robust("--from-run", texture_runs["fine"], "--compare", theirs, *ask, "-o", out) == 0
    assert document(out)["comparison"] == by_run
    alone = document(theirs)
    for one in by_run["conditions"]:
        other = condition(alone, one["drift"], one["severity"])
        for name in ("overkill", "recall", "image_auroc"):
            assert one["frozen"][name]["a"] == pytest.approx(other["levels"][name]["value"])
    # Drifted by another seed, images are no pairs.
    assert robust("--from-run", texture_runs["coarse"], *ask, "--seed", 1, "-o", tmp_path / "third") == 0
    assert robust("--from-run", texture_runs["fine"], "--compare", tmp_path / "third", *ask, "-o", out) == 2
    assert "is not about the same drifted images: seed 1, not 0" in capsys.readouterr().err


def test_scores_of_a_post_processed_run_are_processed_under_drift_too(
    texture_runs: dict[str, Path], tmp_path: Path
) -> None:
    config = load_run_config(
        texture_runs["one"] / "config.json",
        flags={"postprocess": {"border": 20}, "output.dir": tmp_path / "runs", "output.name": "bordered"},
    )
    run = run_recipe(config)
    records = read_records(run.path / "categories" / "brick" / "per_image.jsonl")
    subject = load_subject(run)
    (found,) = measure_condition(subject, CLEAN).values()
    assert found["scores"] == [record.score for record in records]
    plain = read_records(texture_runs["one"] / "categories" / "brick" / "per_image.jsonl")
    assert found["scores"] != [record.score for record in plain]
