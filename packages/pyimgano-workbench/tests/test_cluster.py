"""Work on a real Dask cluster of two worker processes: what is lost is redone, and nothing else differs. Takes 30 s."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.processes import Execution, choose_execution, cluster, remote, run_requests

pytest.importorskip("distributed")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")

PROGRAM = "import sys; from pyimgano.cli.main import main; sys.exit(main())"

# Every fit and every answer leaves a line, so that what was done twice shows.
MODELS = """
import os, time
from pyimgano.core.detector import BaseDetector
from pyimgano.core.specs import ModelSpec
import numpy as np

SPECS = (
    ModelSpec("tst-mean", "Mean brightness", "tst_models:Mean"),
    ModelSpec("tst-parks", "Waits for a file", "tst_models:Parks"),
)

class Mean(BaseDetector):
    "Distance of the mean brightness to that of good images."
    def __init__(self, seed=0):
        self.seed = seed
    def _fit(self, images):
        with open(os.environ["TST_FITS"], "a") as stream:
            stream.write(f"{type(self).__name__}\\n")
        values = [image.mean() for batch in images for image in batch]
        self.mean_ = float(np.mean(values)) + 0.5 * self.seed
    def _infer_batch(self, batch, *, maps):
        return np.array([abs(image.mean() - self.mean_) for image in batch]), None
    def _get_state(self):
        return {"mean": np.array([self.mean_])}, {}
    def _set_state(self, arrays, facts):
        self.mean_ = float(arrays["mean"][0])

class Parks(Mean):
    def _fit(self, images):
        super()._fit(images)
        go = os.environ["TST_GO"]
        while not os.path.exists(go):
            with open(f"{go}.{os.getppid()}", "w"):  # whom to kill
                time.sleep(0.1)
"""

# The process whose file appears waits for the worker above it to be killed, or for the file to go.
DRIFTS = """
import os, time
from dataclasses import dataclass
from pyimgano.core.specs import ComponentSpec

SPECS = (ComponentSpec("tst-parks", "Waits for a file", "tst_drifts:Parks", kind="augment"),)

@dataclass(frozen=True)
class Parks:
    severity: int = 3
    geometric = False
    def __call__(self, image, rng, *, mask=None):
        go = os.environ["TST_GO"]
        while not os.path.exists(go):
            with open(f"{go}.{os.getppid()}", "w"):  # whom to kill
                time.sleep(0.1)
        return image // (1 + self.severity), mask
"""

SERVER = """
import os, signal
from pyimgano.workbench.processes import serve_requests

def answer(request):
    with open(request["log"], "a") as stream:
        stream.write(f"{request['number']}\\n")
    if request.get("kill") == "me":
        os.kill(os.getpid(), signal.SIGKILL)
    if request.get("kill") == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    return {"square": request["number"] ** 2}

if __name__ == "__main__":
    serve_requests(answer)
"""


@pytest.fixture
def server(plug_in: Callable[..., Path]) -> None:
    plug_in("tst-server", {}, {"tst_server": SERVER})


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


def timeless(folder: Path) -> list[list[str]]:
    """The leaderboard without the columns that are times."""
    with open(folder / "leaderboard.csv", encoding="utf-8", newline="") as stream:
        table = list(csv.reader(stream))
    keep = [i for i, name in enumerate(table[0]) if name not in ("fit_seconds", "test_ms_per_image", "latency_ms")]
    return [[row[i] for i in keep] for row in table]


def records(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("runs/*/**/*.jsonl"))}


def answers(requests: Sequence[dict[str, Any]], scheduler: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    run_requests(
        requests, found.__setitem__, module="tst_server", execution=Execution("dask", scheduler=str(scheduler))
    )
    return found


def run_with_a_worker_killed(arguments: Sequence[str], go: Path, running: Any) -> None:
    """Run a command to its end; kill the first worker that waits for the file `go`, then let the others go on."""
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        parked: list[Path] = []
        while not parked and process.poll() is None:
            time.sleep(0.1)
            parked = list(go.parent.glob(f"{go.name}.*"))
        assert parked, process.communicate()[1]
        victim = int(parked[0].suffix[1:])
        assert victim in [worker.pid for worker in running.workers]
        os.kill(victim, signal.SIGKILL)
        go.touch()
        told = process.communicate(timeout=120)[1]
    assert process.returncode == 0, told


def test_a_benchmark_whose_worker_is_killed_gives_the_leaderboard_of_one_machine(
    plug_in: Callable[..., Path],
    make_cells: Callable[..., Path],
    start_cluster: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plug_in("tst-models", {"pyimgano.models": {"tst-models": "tst_models:SPECS"}}, {"tst_models": MODELS})
    go, fits = tmp_path / "go", tmp_path / "fits"
    monkeypatch.setenv("TST_GO", str(go))
    monkeypatch.setenv("TST_FITS", str(fits))
    data = make_cells(tmp_path / "cells")
    running = start_cluster()
    ask = ("benchmark", "--dataset", data, "--models", "tst-mean,tst-parks", "--set", "calibration.alpha=0.2")
    ask += ("--set", "output.report=false", "--set", "output.thumbnails=0", "-o")
    there = command(*ask, tmp_path / "there", "--executor", "dask", "--scheduler", running.file)
    run_with_a_worker_killed(there, go, running)
    assert sorted(lines(fits)) == ["Mean", "Parks", "Parks"]
    fits.unlink()
    here = subprocess.run(command(*ask, tmp_path / "here"), capture_output=True, text=True, encoding="utf-8")
    assert here.returncode == 0, here.stderr
    assert sorted(lines(fits)) == ["Mean", "Parks"]
    assert timeless(tmp_path / "there") == timeless(tmp_path / "here")
    assert len(records(tmp_path / "here")) == 2
    assert records(tmp_path / "there") == records(tmp_path / "here")
    assert not list((tmp_path / "there").glob(".shared-*"))
    # What is finished is not asked for again: no cluster is needed.
    running.close()
    again = subprocess.run(there, capture_output=True, text=True, encoding="utf-8")
    assert again.returncode == 0, again.stderr
    assert "2 of 2 cells are finished already" in again.stderr


def test_a_run_is_drifted_by_a_cluster_as_by_one_machine(
    plug_in: Callable[..., Path],
    texture_runs: dict[str, Path],
    start_cluster: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plug_in("tst-drifts", {"pyimgano.components": {"tst-drifts": "tst_drifts:SPECS"}}, {"tst_drifts": DRIFTS})
    go = tmp_path / "go"
    monkeypatch.setenv("TST_GO", str(go))
    running = start_cluster()
    ask = ("robust-benchmark", "--from-run", texture_runs["one"], "--drifts", "tst-parks", "--severities", "1,4", "-o")
    there = command(*ask, tmp_path / "there", "--executor", "dask", "--scheduler", running.file)
    run_with_a_worker_killed(there, go, running)
    here = subprocess.run(command(*ask, tmp_path / "here"), capture_output=True, text=True, encoding="utf-8")
    assert here.returncode == 0, here.stderr
    written = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert len([path for path in written if path.suffix == ".json"]) > 2
    for path in written:
        assert (tmp_path / "there" / path).read_bytes() == (tmp_path / "here" / path).read_bytes(), path


@pytest.mark.usefixtures("server")
def test_a_request_that_kills_costs_its_own_answer_alone(start_cluster: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = start_cluster(1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    requests: list[dict[str, Any]] = [{"number": number, "log": str(log)} for number in range(3)]
    requests[1]["kill"] = "me"
    found = answers(requests, running.file)
    assert [found[0], found[2]] == [{"square": 0}, {"square": 4}]
    assert "SIGKILL" in found[1]["error"]
    assert [lines(log).count(str(number)) for number in range(3)] == [1, 3, 1]
    found = answers([{"number": 4, "log": str(log), "kill": "worker"}], running.file)
    assert found == {0: {"error": "given up after 1 workers were lost that had it"}}


@pytest.mark.usefixtures("server")
def test_the_user_is_told_that_no_worker_is_there_and_work_begins_with_the_first(
    start_cluster: Callable[..., Any], tmp_path: Path
) -> None:
    running = start_cluster(0)
    told: list[str] = []

    def note(text: str) -> None:
        told.append(text)
        running.add_worker()

    found: dict[int, dict[str, Any]] = {}
    run_requests(
        [{"number": 3, "log": str(tmp_path / "log")}],
        found.__setitem__,
        module="tst_server",
        execution=Execution("dask", scheduler=str(running.file)),
        shared=tmp_path,
        note=note,
    )
    assert found == {0: {"square": 9}}
    assert told == ["the cluster has no workers yet: waiting for the first"]


@pytest.mark.usefixtures("server")
def test_a_worker_with_other_packages_is_an_error_and_no_result(
    start_cluster: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start_cluster(1)
    monkeypatch.setattr(cluster, "package_versions", lambda: {**remote.package_versions(), "numpy": "0.1"})
    with pytest.raises(ConfigError, match=r"a worker has other packages: numpy \d.* \(not 0.1\)"):
        answers([{"number": 3, "log": str(tmp_path / "log")}], running.file)
    assert not (tmp_path / "log").exists()


def test_a_worker_that_does_not_see_the_output_says_so(tmp_path: Path) -> None:
    found = remote.answer_on_worker("tst_server", "{}", {}, remote.package_versions(), str(tmp_path / "absent" / "x"))
    assert found == {"unfit": f"does not see {tmp_path / 'absent'}"}


def test_a_scheduler_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ConfigError) as refused:
        run_requests([{}], print, module="tst_server", execution=Execution("dask", scheduler="tcp://127.0.0.1:9"))
    assert "cannot reach tcp://127.0.0.1:9" in str(refused.value)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="--scheduler is missing"):
        run_requests([{}], print, module="tst_server", execution=Execution("dask"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("slurm", None, 1), "local: processes of this machine"),
        (("local", "tcp://host:8786", 1), "--executor dask"),
        (("dask", "tcp://host:8786", 2), "--nworkers"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        choose_execution(*options)
    assert told in str(refused.value)
