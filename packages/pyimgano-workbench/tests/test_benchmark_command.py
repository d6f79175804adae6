"""`pyimgano benchmark`: every cell a run, failures as rows, results as they come, resumable."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Callable

import psutil
import pytest

from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.core.files import load_json
from pyimgano.workbench.bench import COLUMNS, SUITES, Leaderboard, SuiteEntry, plan_cells, run_cells, suite_entries
from pyimgano.workbench.processes import Execution

PROGRAM = "import sys; from pyimgano.cli.main import main; sys.exit(main())"

MODELS = """
import os, signal
from pyimgano.core.detector import BaseDetector
from pyimgano.core.specs import ModelSpec
import numpy as np

SPECS = (
    ModelSpec("tst-mean", "Mean brightness", "tst_models:Mean"),
    ModelSpec("tst-raises", "Raises", "tst_models:Raises"),
    ModelSpec("tst-dies", "Dies", "tst_models:Dies"),
    ModelSpec("tst-waits", "Waits for a file", "tst_models:Waits"),
)

class Mean(BaseDetector):
    "Distance of the mean brightness to that of good images."
    def __init__(self, seed=0):
        self.seed = seed
    def _fit(self, images):
        print("noise on stdout")
        values = [image.mean() for batch in images for image in batch]
        self.mean_ = float(np.mean(values)) + 0.5 * self.seed
    def _infer_batch(self, batch, *, maps):
        return np.array([abs(image.mean() - self.mean_) for image in batch]), None
    def _get_state(self):
        return {"mean": np.array([self.mean_])}, {}
    def _set_state(self, arrays, facts):
        self.mean_ = float(arrays["mean"][0])

class Raises(Mean):
    def _fit(self, images):
        raise RuntimeError("no luck today")

class Dies(Mean):
    def _fit(self, images):
        os.kill(os.getpid(), signal.SIGKILL)

class Waits(Mean):
    def _fit(self, images):
        import time
        if not os.path.exists(os.environ["TST_GO"]):
            open(os.environ["TST_GO"] + ".waiting", "w").close()
            time.sleep(600)
        super()._fit(images)
"""


@pytest.fixture
def models(plug_in: Callable[..., Path]) -> None:
    plug_in("tst-models", {"pyimgano.models": {"tst-models": "tst_models:SPECS"}}, {"tst_models": MODELS})


@pytest.fixture
def data(make_cells: Callable[..., Path], tmp_path: Path) -> Path:
    return make_cells(tmp_path / "cells", train=30, categories=("a", "b"))


def benchmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, "benchmark", "--set", "calibration.alpha=0.2", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=180)


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "leaderboard.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.usefixtures("models")
def test_every_model_category_and_seed_is_a_run_and_a_row(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    result = benchmark("--dataset", data, "--models", "tst-mean,pixel-gaussian", "--seeds", "0,1", "-o", out, "--json")
    assert result.returncode == 0, result.stderr
    table = rows(out)
    assert tuple(table[0]) == COLUMNS
    places = [(row["model"], row["category"], row["seed"]) for row in table]
    assert places == [(m, c, s) for m in ("pixel-gaussian", "tst-mean") for c in "ab" for s in "01"]
    for row in table:
        run = out / "runs" / row["run"]
        report = load_json(run / "report.json")
        assert report["seed"] == int(row["seed"])
        assert report["model"] == row["model"]
        entry = report["categories"][0]
        assert entry["name"] == row["category"]
        assert float(row["image_auroc"]) == entry["metrics"]["image_auroc"]["value"]
        assert row["n_test_good"] == row["n_test_defective"] == "5"
        assert float(row["latency_ms"]) > 0
    printed = json.loads(result.stdout)
    assert printed == {key: load_json(out / "leaderboard.json")[key] for key in ("rows", "summary", "skipped")}
    _check_summary(printed["summary"], table)


def _check_summary(summary: Sequence[Mapping], table: Sequence[Mapping[str, str]]) -> None:
    by_place = {(part["model"], part["category"]): part for part in summary}
    assert len(by_place) == 6
    for model in ("pixel-gaussian", "tst-mean"):
        for category in "ab":
            values = [float(r["image_auroc"]) for r in table if (r["model"], r["category"]) == (model, category)]
            found = by_place[model, category]["image_auroc"]
            assert found["n"] == 2
            assert found["mean"] == pytest.approx(mean(values))
            assert found["sd"] == pytest.approx(stdev(values))
        per_seed = [
            mean(float(r["image_auroc"]) for r in table if (r["model"], r["seed"]) == (model, seed)) for seed in "01"
        ]
        assert by_place[model, None]["image_auroc"]["mean"] == pytest.approx(mean(per_seed))
        assert by_place[model, None]["image_auroc"]["sd"] == pytest.approx(stdev(per_seed))


@pytest.mark.usefixtures("models")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_cell_that_raises_or_is_killed_is_a_row_and_the_others_go_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    ask = ("--dataset", data, "--categories", "a", "-o", out)
    result = benchmark(*ask, "--models", "tst-raises,tst-dies,tst-mean")
    assert result.returncode == 1
    found = {row["model"]: row for row in rows(out)}
    assert found["tst-raises"]["error"].startswith("RuntimeError: no luck today")
    assert "SIGKILL" in found["tst-dies"]["error"]
    assert found["tst-mean"]["status"] == "ok"
    assert found["tst-raises"]["image_auroc"] == ""
    assert "no luck today" in result.stderr
    assert "Traceback" not in result.stderr
    # The same command tries the failed ones again, and not the finished one.
    finished = (out / "cells").joinpath("tst-mean__a__seed0.json").stat().st_mtime_ns
    again = benchmark(*ask, "--models", "tst-raises,tst-mean")
    assert again.returncode == 1
    assert "1 of 2 cells are finished already" in again.stderr
    assert (out / "cells").joinpath("tst-mean__a__seed0.json").stat().st_mtime_ns == finished


@pytest.mark.usefixtures("models")
def test_several_processes_give_the_results_of_one(data: Path, tmp_path: Path) -> None:
    ask = ("--dataset", data, "--models", "tst-mean,pixel-gaussian", "--seeds", "0,1", "--categories", "a")
    assert benchmark(*ask, "-o", tmp_path / "one").returncode == 0
    assert benchmark(*ask, "-o", tmp_path / "two", "--jobs", 2).returncode == 0
    timed = ("fit_seconds", "test_ms_per_image", "latency_ms")
    one, two = (
        [{k: v for k, v in row.items() if k not in timed} for row in rows(tmp_path / name)] for name in ("one", "two")
    )
    assert one == two


@pytest.mark.usefixtures("models")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_benchmark_goes_on_where_it_was(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, out = tmp_path / "go", tmp_path / "bench"
    monkeypatch.setenv("TST_GO", str(go))
    ask = ("--dataset", data, "--categories", "a", "--models", "tst-mean,tst-waits", "-o", out)
    command = [sys.executable, "-c", PROGRAM, "benchmark", "--set", "calibration.alpha=0.2", *map(str, ask)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(600):
            if (tmp_path / "go.waiting").exists():
                break
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)  # the worker shall notice by itself that nobody waits for it
    assert [row["model"] for row in rows(out)] == ["tst-mean"]
    before = (out / "cells" / "tst-mean__a__seed0.json").read_bytes()
    go.touch()
    result = benchmark(*ask)
    assert result.returncode == 0, result.stderr
    assert [row["status"] for row in rows(out)] == ["ok", "ok"]
    assert (out / "cells" / "tst-mean__a__seed0.json").read_bytes() == before
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["tst-mean__a__seed0", "tst-waits__a__seed0"]


@pytest.mark.usefixtures("models")
def test_an_interrupt_leaves_no_process_behind(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TST_GO", str(tmp_path / "go"))
    settings = ["calibration.alpha=0.2"]
    common = {"categories": ["a"], "dataset": data, "settings": settings}
    cells = plan_cells(tmp_path / "bench", models=["tst-mean", "tst-waits"], **common)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    me = psutil.Process()
    before = me.children(recursive=True)  # of other tests
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, interrupt, execution=Execution(jobs=2))
    assert set(me.children(recursive=True)) <= set(before)


@pytest.mark.usefixtures("models")
def test_results_of_another_config_are_not_mixed_in(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    ask = ("--dataset", data, "--categories", "a", "--models", "tst-mean", "-o", out)
    assert benchmark(*ask).returncode == 0
    other = benchmark(*ask, "--set", "calibration.alpha=0.25")
    assert other.returncode == 2
    assert "other settings" in other.stderr
    more = benchmark(*ask, "--seeds", "0,1")
    assert more.returncode == 0, more.stderr
    assert [row["seed"] for row in rows(out)] == ["0", "1"]


@pytest.mark.usefixtures("models")
def test_the_configs_parameters_belong_to_its_own_model_only(data: Path, tmp_path: Path) -> None:
    cells = plan_cells(
        tmp_path / "bench",
        models=["tst-mean", "pixel-gaussian"],
        dataset=data,
        settings=["model.name=pixel-gaussian", 'model.params={"map_sigma": 2.5}', "calibration.alpha=0.2"],
    )
    found = {cell.model: cell.config.model.params for cell in cells}
    assert found == {"tst-mean": {}, "pixel-gaussian": {"map_sigma": 2.5}}


@pytest.mark.usefixtures("models")
def test_mistakes_are_found_before_anything_runs(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    with pytest.raises(ConfigError, match="unknown model 'tst-men'"):
        plan_cells(out, models=["tst-mean", "tst-men"], dataset=data)
    with pytest.raises(UnknownNameError, match="no category 'c'"):
        plan_cells(out, models=["tst-mean"], categories=["a", "c"], dataset=data)
    with pytest.raises(ConfigError, match="model given twice: tst-mean"):
        plan_cells(out, models=["tst-mean", "tst-mean"], dataset=data)
    for option, value, said in (("--seeds", "0,x", "no seed"), ("--models", "a,,b", "empty part")):
        result = benchmark("--dataset", data, "-o", out, option, value)
        assert result.returncode == 2
        assert said in result.stderr
    assert benchmark().returncode == 2
    assert not out.exists()


@pytest.mark.usefixtures("models")
def test_what_may_be_chosen_is_listed(data: Path) -> None:
    assert "tst-mean" in benchmark("--list-models").stdout.splitlines()
    assert benchmark("--list-categories", "--dataset", data).stdout.splitlines() == ["a", "b"]


@pytest.mark.usefixtures("models")
def test_a_failed_seed_is_told_and_leaves_the_others_mean(data: Path, tmp_path: Path) -> None:
    cells = plan_cells(tmp_path, models=["tst-mean"], seeds=[0, 1, 2], categories=["a"], dataset=data)
    board = Leaderboard(tmp_path / "bench", cells)
    row = dict.fromkeys(("n_fit", "n_calibration", "n_test_good", "n_test_defective"), 5)
    for cell, value in zip(cells, (0.5, 0.75, None)):
        board.add(cell, {"row": {**row, "image_auroc": value}} if value else {"error": "RuntimeError: no"})
    summary = board.summary()
    assert len(summary) == 1
    assert summary[0]["image_auroc"] == {"mean": 0.625, "sd": pytest.approx(0.25 / 2**0.5), "n": 2}
    assert summary[0]["n_failed"] == 1
    assert Leaderboard(tmp_path / "bench", cells).waiting == [cells[2]]


# -- suites ----------------------------------------------------------------------------------------------------------


SUITE = """
from pyimgano.core.errors import WeightsError
from pyimgano.core.specs import ModelSpec, Requirement
import tst_models

SPECS = (
    ModelSpec("sut-mean", "Mean brightness", "tst_models:Mean", tags=("classical",)),
    ModelSpec("sut-needs", "Needs", "tst_models:Mean", tags=("classical",),
              requires=(Requirement("absent_module", "sut", "fast"),)),
    ModelSpec("sut-trained", "Trains", "tst_models:Mean", tags=("trained",)),
    ModelSpec("sut-weights", "Has no weights", "tst_suite:Weightless", tags=("classical",)),
    ModelSpec("sut-dies", "Dies", "tst_models:Dies", tags=("classical",)),
)

class Weightless(tst_models.Mean):
    def _fit(self, images):
        raise WeightsError("there are no weights", hint="pyimgano cache fetch them")
"""


@pytest.fixture
def suite(models: None, plug_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only these models are classical: the registered ones that are take their time in tests of their own."""
    import dataclasses

    from pyimgano.workbench.bench import suites

    plug_in("tst-suite", {"pyimgano.models": {"tst-suite": "tst_suite:SPECS"}}, {"tst_suite": SUITE})
    entries = suites.MODELS.entries

    def only_ours() -> tuple[object, ...]:
        return tuple(entry for entry in entries() if entry.spec.name.startswith("sut-"))

    monkeypatch.setattr(suites, "MODELS", dataclasses.make_dataclass("Registry", ["entries"])(only_ours))


@pytest.mark.usefixtures("suite")
def test_a_suite_takes_models_by_tag_and_says_what_those_need_that_it_skips() -> None:
    entries, skipped = suite_entries("classical")
    assert [entry.label for entry in entries] == ["sut-dies", "sut-mean", "sut-weights"]
    assert [one.to_json() for one in skipped] == [
        {"model": "sut-needs", "reason": 'needs absent_module: pip install "sut[fast]"'}
    ]
    assert "sut-trained" not in [entry.label for entry in suite_entries("cpu")[0]]
    assert "sut-trained" in [entry.label for entry in suite_entries("all")[0]]


def test_an_unknown_suite_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as refused:
        suite_entries("clasical")
    assert "classical, cpu, all" in str(refused.value)


def test_the_suites_hold_the_models_of_the_packages() -> None:
    labels = {name: {entry.label for entry in suite_entries(name)[0]} for name in SUITES}
    assert {"pixel-gaussian", "sklearn-pca", "sklearn-nearest-neighbors"} <= labels["classical"]
    assert not {label for label in labels["classical"] if label.endswith("@patch")}
    assert labels["classical"] < labels["cpu"] < labels["all"]
    assert {"patchcore", "sklearn-nearest-neighbors@patch"} <= labels["cpu"]
    assert "stfpm" in labels["all"] - labels["cpu"]


@pytest.mark.usefixtures("suite")
def test_a_suite_runs_to_its_end_whatever_its_models_lack(data: Path, tmp_path: Path) -> None:
    entries, skipped = suite_entries("classical")
    cells = plan_cells(
        tmp_path / "out", models=entries, categories=["a"], dataset=data, settings=["calibration.alpha=0.2"]
    )
    board = Leaderboard(tmp_path / "out", cells, skipped)
    run_cells(cells, board.add, environment={"PYIMGANO_FEATURE_CACHE": "1MiB"})
    found = {row["model"]: row for row in board.rows()}
    assert {name: row["status"] for name, row in found.items()} == {
        "sut-dies": "error",
        "sut-mean": "ok",
        "sut-weights": "skipped",
    }
    assert found["sut-weights"]["error"] == "WeightsError: there are no weights (pyimgano cache fetch them)"
    assert [(part["model"], part["n_failed"]) for part in board.summary()] == [("sut-dies", 1), ("sut-mean", 0)]
    record = load_json(tmp_path / "out" / "leaderboard.json")
    assert record["skipped"] == [one.to_json() for one in skipped]
    assert [cell.model for cell in Leaderboard(tmp_path / "out", cells).waiting] == ["sut-dies", "sut-weights"]


def test_an_entry_with_parameters_of_its_own_runs_with_them(data: Path, tmp_path: Path) -> None:
    entries = [
        SuiteEntry("small", "pixel-gaussian", {"input_size": 16}),
        SuiteEntry("pixel-gaussian", "pixel-gaussian"),
    ]
    cells = plan_cells(tmp_path / "out", models=entries, categories=["a"], dataset=data)
    assert [(cell.model, cell.config.model.name, dict(cell.config.model.params)) for cell in cells] == [
        ("small", "pixel-gaussian", {"input_size": 16}),
        ("pixel-gaussian", "pixel-gaussian", {}),
    ]


def test_a_suite_and_models_contradict_each_other(data: Path) -> None:
    result = benchmark("--dataset", data, "--suite", "cpu", "--models", "pixel-gaussian")
    assert result.returncode == 2
    assert "--suite and --models" in result.stderr


def test_a_model_is_given_parameters_by_name(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = benchmark(
        *("--dataset", data, "--models", "pixel-gaussian,pixel-median", "--categories", "a", "--output", out),
        *("--model-set", "pixel-gaussian.input_size=[16, 24]", "--set", "output.report=false"),
    )
    assert result.returncode == 0, result.stderr
    used = {row["model"]: load_json(out / "runs" / row["run"] / "config.json")["model"]["params"] for row in rows(out)}
    assert used == {"pixel-gaussian": {"input_size": [16, 24]}, "pixel-median": {}}


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("padim.n_features=5", "one of the --models (pixel-gaussian)"),
        ("pixel-gaussian.input_size", "is not MODEL.KEY=VALUE"),
        ("pixel-gaussian.inputsize=5", "did you mean 'inputsize' → 'input_size'?"),
    ],
)
def test_a_parameter_that_nobody_takes_is_an_error(data: Path, tmp_path: Path, setting: str, told: str) -> None:
    result = benchmark(
        *("--dataset", data, "--models", "pixel-gaussian", "--model-set", setting, "--output", tmp_path / "out")
    )
    assert result.returncode == 2
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_no_suite_takes_what_runs_only_when_it_is_named() -> None:
    labels = {entry.model for name in SUITES for entry in suite_entries(name)[0]}
    assert not {label for label in labels if label.startswith("anomalib-")}
