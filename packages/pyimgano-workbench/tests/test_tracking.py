"""Trackers are told of complete runs, and one that fails changes nothing about them. Takes 10 s."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from pyimgano.core.creation import create_component
from pyimgano.core.registry import COMPONENTS
from pyimgano.core.sinks import FinishedRun, LoggedStep, TrackingSink
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.config.problems import RunConfigError
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.training import run_recipe

STEPS = (
    LoggedStep("a", 1, {"train/loss": 0.5}),
    LoggedStep("a", 2, {"train/loss": 0.25}),
    LoggedStep("b", 1, {"train/loss": 0.75}),
)

SINKS = """
from pyimgano.core.specs import ComponentSpec

SPECS = (
    ComponentSpec("tst-raises", "Raises", "tst_sinks:Raises", kind="sink"),
    ComponentSpec("tst-keeps", "Keeps", "tst_sinks:Keeps", kind="sink"),
)
KEPT = []

class Raises:
    def record(self, run):
        raise ConnectionError("the server is on holiday")

class Keeps:
    def record(self, run):
        KEPT.append(run)
"""


class Listening(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def finished(tmp_path: Path) -> FinishedRun:
    folder = tmp_path / "runs" / "some run"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}", encoding="utf-8")
    config = {"model.name": "padim", "seed": 3, "preset": None, "adapt.augment": "[]"}
    return FinishedRun(folder.name, folder, config, {"a/image_auroc": 0.875, "b/threshold": 1.5}, STEPS)


def flags(data: Path, folder: Path, *sinks: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset.root": data,
        "model.name": "pixel-gaussian",
        "calibration.alpha": 0.2,
        "output.dir": folder,
        "output.name": "run",
        "output.report": False,
        "output.thumbnails": 0,
        "output.sinks": list(sinks),
    }


def test_a_tracker_that_raises_is_a_warning_and_the_next_one_is_told(
    plug_in: Callable[..., Path], make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    plug_in("tst-sinks", {"pyimgano.components": {"tst-sinks": "tst_sinks:SPECS"}}, {"tst_sinks": SINKS})
    data = make_cells(tmp_path / "cells", categories=("a", "b"))
    listening = Listening()
    config = load_run_config(flags=flags(data, tmp_path, {"name": "tst-raises"}, {"name": "tst-keeps"}))
    run = run_recipe(config, progress=listening)
    assert run.complete
    told = [note for note in listening.notes if "tst-raises" in note]
    assert len(told) == 1
    assert told[0].startswith("warning: the tracker 'tst-raises' did not take the run: ConnectionError: the server is")
    import tst_sinks  # type: ignore[import-not-found]

    (kept,) = tst_sinks.KEPT
    report = run.report()
    assert kept.name == "run"
    assert kept.folder == run.path
    assert kept.metrics["a/image_auroc"] == report["categories"][0]["metrics"]["image_auroc"]["value"]
    assert kept.metrics["b/threshold"] == report["categories"][1]["threshold"]
    assert kept.metrics["mean/image_auroc"] == report["means"]["image_auroc"]["value"]
    assert kept.config["model.name"] == "pixel-gaussian"
    assert kept.config["dataset.root"] == "cells"
    assert str(tmp_path) not in str(kept.config)
    assert kept.steps == ()


def test_tensorboard_reads_what_its_tracker_wrote(finished: FinishedRun) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    create_component("sink", "tensorboard").record(finished)
    folder = finished.folder.parent / "tensorboard" / finished.name
    found = accumulator.EventAccumulator(str(folder)).Reload()
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert scalars == {
        "a/image_auroc": [(0, 0.875)],
        "b/threshold": [(0, 1.5)],
        "a/train/loss": [(1, 0.5), (2, 0.25)],
        "b/train/loss": [(1, 0.75)],
    }
    (text,) = found.Tensors("config/text_summary")
    assert b"| model.name | padim |" in text.tensor_proto.string_val[0]


def test_mlflow_reads_what_its_tracker_wrote(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # newer ones want to be asked twice for a store of files
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    place = (tmp_path / "mlruns").as_uri()
    create_component("sink", "mlflow", {"tracking_uri": place, "experiment": "cells"}).record(finished)
    client = mlflow.MlflowClient(place)
    (found,) = client.search_runs([client.get_experiment_by_name("cells").experiment_id])
    assert found.info.run_name == "some run"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"model.name": "padim", "seed": "3", "preset": "None", "adapt.augment": "[]"}
    assert found.data.metrics["a/image_auroc"] == 0.875
    losses = client.get_metric_history(found.info.run_id, "a/train/loss")
    assert [(point.step, point.value) for point in losses] == [(1, 0.5), (2, 0.25)]
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["report.json"]


def test_wandb_keeps_a_run_offline(finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    create_component("sink", "wandb", {"mode": "offline", "folder": str(tmp_path)}).record(finished)
    wandb.teardown()  # its process writes the file, and ends with this one
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    data = kept.read_bytes()
    assert b"a/image_auroc" in data
    assert b"a/train/loss" in data
    assert b"some run" in data


def test_an_unknown_tracker_is_refused_before_the_run(make_cells: Callable[..., Path], tmp_path: Path) -> None:
    data = make_cells(tmp_path / "cells")
    with pytest.raises(RunConfigError) as refused:
        load_run_config(flags=flags(data, tmp_path, {"name": "tensorbord"}))
    assert "output.sinks" in str(refused.value)
    assert "did you mean 'tensorboard'?" in str(refused.value)
    with pytest.raises(RunConfigError, match="log_dri"):
        load_run_config(flags=flags(data, tmp_path, {"name": "tensorboard", "params": {"log_dri": "x"}}))


def test_every_tracker_that_is_installed_keeps_the_contract() -> None:
    sinks = [entry for entry in COMPONENTS.entries() if entry.spec.kind == "sink"]
    assert {entry.spec.name for entry in sinks} >= {"mlflow", "tensorboard", "wandb"}
    made = [create_component("sink", entry.spec.name) for entry in sinks if not entry.missing]
    assert all(isinstance(sink, TrackingSink) for sink in made)
