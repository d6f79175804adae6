"""Real images for the tests of runs: solar cells of elpv-dataset, scaled down, and the demo's textures with masks."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pytest

from pyimgano.core.images import read_image, write_png

SIDE = 64


@pytest.fixture(scope="session")
def cell_images() -> dict[str, list[np.ndarray]]:
    """Mono cells, 64×64 RGB: 80 good and 20 defective ones."""
    import cv2

    spec = importlib.util.find_spec("elpv_dataset")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text().splitlines()]
    found: dict[str, list[np.ndarray]] = {}
    for kind, probability, count in (("good", 0.0, 80), ("defective", 1.0, 20)):
        paths = sorted(row[0] for row in rows if float(row[1]) == probability and row[2] == "mono")[:count]
        found[kind] = [
            cv2.resize(read_image(data / path), (SIDE, SIDE), interpolation=cv2.INTER_AREA) for path in paths
        ]
    return found


@pytest.fixture
def make_cells(cell_images: dict[str, list[np.ndarray]]) -> Callable[..., Path]:
    """Write cells in MVTec's layout below a folder, as one category or several that differ in their images."""

    def make(root: Path, *, train: int = 30, good: int = 5, defective: int = 5, categories=()) -> Path:
        for number, category in enumerate(categories or ("",)):
            top = root / category
            start = number * 5  # test images differ between the categories; train images are the next ones
            sets = {
                "train/good": cell_images["good"][start + good : start + good + train],
                "test/good": cell_images["good"][start : start + good],
                "test/crack": cell_images["defective"][start : start + defective],
            }
            for folder, images in sets.items():
                (top / folder).mkdir(parents=True)
                for index, image in enumerate(images):
                    write_png(image, top / folder / f"{index:03d}.png")
        return root

    return make


@pytest.fixture(scope="session")
def texture_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Complete runs on the demo's textures: ``coarse`` and ``fine`` of the same images, ``one`` of one category."""
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.demo import write_textures
    from pyimgano.workbench.training import run_recipe

    folder = tmp_path_factory.mktemp("texture-runs")
    write_textures(folder / "textures", seed=0)
    made = {}
    for name, size, categories in (
        ("coarse", 16, ("brick", "grass")),
        ("fine", 48, ("brick", "grass")),
        ("one", 16, ("brick",)),
    ):
        flags = {
            "dataset.root": folder / "textures",
            "dataset.categories": list(categories),
            "model.name": "pixel-gaussian",
            "model.params": {"input_size": size},
            "calibration.alpha": 0.1,
            "output.dir": folder / "runs",
            "output.name": name,
            "output.report": False,
            "output.thumbnails": 0,
        }
        made[name] = run_recipe(load_run_config(flags=flags)).path
    return made


@pytest.fixture
def copied_runs(texture_runs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same runs elsewhere, without their dataset, to be changed at will."""
    return {name: Path(shutil.copytree(path, tmp_path / "moved" / name)) for name, path in texture_runs.items()}


class Service:
    """A `pyimgano bundle serve` in a process of its own, on a port of the system's choice."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self._log = open(log, "a+b")
        start = self._log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(command, env=env, stderr=self._log)
        end = time.monotonic() + 60
        while True:
            self._log.seek(start)
            found = re.search(rb" on http://(\S+):(\d+) ", self._log.read())
            if found is not None:
                break
            if self.process.poll() is not None or time.monotonic() > end:
                self._log.seek(start)
                text = self._log.read().decode()
                self.close()
                raise AssertionError(f"no service: exit code {self.process.poll()}\n{text}")
            time.sleep(0.02)
        self.host, self.port = found[1].decode(), int(found[2])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def request(
        self, method: str, path: str, body: Any = None, headers: Optional[dict[str, str]] = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def inspect(self, image: bytes, query: str = "", kind: str = "image/png") -> tuple[int, dict[str, Any]]:
        status, _, body = self.request("POST", f"/v1/inspect{query}", image, {"Content-Type": kind})
        return status, json.loads(body)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Start services, which end with the module."""
    folder = tmp_path_factory.mktemp("services")
    started: list[Service] = []

    def start(bundle: Path, *options: object, env: Optional[dict[str, str]] = None) -> Service:
        program = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]
        command = [*program, "bundle", "serve", str(bundle), "--port", "0", *map(str, options)]
        service = Service(command, {**os.environ, **(env or {})}, folder / f"{len(started)}.log")
        started.append(service)
        return service

    yield start
    for service in started:
        service.close()


@pytest.fixture(scope="session")
def graph_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of a third party's model that exports itself, on two of the demo's textures."""
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.demo import write_textures
    from pyimgano.workbench.training import run_recipe

    folder = tmp_path_factory.mktemp("graph-run")
    write_textures(folder / "textures", seed=0)
    flags = {
        "dataset.root": folder / "textures",
        "dataset.categories": ["brick", "grass"],
        "model.name": "acme-filter-bank",
        "model.params": {"size": 48},
        "calibration.alpha": 0.1,
        "output.dir": folder / "runs",
        "output.name": "filters",
        "output.report": False,
        "output.thumbnails": 0,
    }
    return run_recipe(load_run_config(flags=flags)).path


@pytest.fixture(scope="session")
def graph_bundle(graph_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run as a zip; not to be written to."""
    from pyimgano.workbench.bundle.export import export_run
    from pyimgano.workbench.progress import Silent
    from pyimgano.workbench.runs import open_run

    path = tmp_path_factory.mktemp("graph-bundle") / "filters.zip"
    export_run(open_run(graph_run), path, progress=Silent())
    return path


@pytest.fixture
def graph_folder(graph_bundle: Path, tmp_path: Path) -> Path:
    """The same as a folder, to be changed at will."""
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(graph_bundle) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def texture_images(graph_run: Path) -> Path:
    """The dataset of ``graph_run``."""
    return graph_run.parents[1] / "textures"


class Cluster:
    """A Dask scheduler and its workers on 127.0.0.1, each a process without a nanny: a killed one stays dead."""

    def __init__(self, folder: Path, workers: int, env: dict[str, str]) -> None:
        folder.mkdir()
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._env = {**os.environ, **env}
        self._started: list[subprocess.Popen[bytes]] = []
        self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        self.workers = [self.add_worker() for _ in range(workers)]

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(self.file)]
        with open(self.folder / f"{len(self._started)}.log", "wb") as log:
            process = subprocess.Popen([*command, "--no-dashboard", *options], env=self._env, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def add_worker(self) -> subprocess.Popen[bytes]:
        local = str(self.folder / "local")
        return self._start("dask_worker", "--no-nanny", "--nthreads", "1", "--local-directory", local)

    def close(self) -> None:
        for process in reversed(self._started):
            process.kill()
            process.wait()


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Start a cluster, after what its workers are to import was plugged in; it ends with the test."""
    started: list[Cluster] = []

    def start(workers: int = 2, **env: str) -> Cluster:
        started.append(Cluster(tmp_path / f"cluster-{len(started)}", workers, env))
        return started[-1]

    yield start
    for cluster in started:
        cluster.close()
