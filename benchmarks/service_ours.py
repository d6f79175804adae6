"""The throughput of the service beside that of the same stages in one process, on the same images."""

from __future__ import annotations

import http.client
import io
import os
import queue
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.elpv import mono_split
from benchmarks.measure import serve, stopwatch
from benchmarks.service_load import Service


def fit(folder: str, seed: int, n_train: int) -> dict[str, Any]:
    """Fit PatchCore on a split of the solar cells, and return its run."""
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.training import run_recipe

    split = mono_split(seed).head(n_train, 50)
    places = [("train/good", path) for path in split.train]
    places += [("test/defective" if label else "test/good", path) for path, label in zip(split.test, split.labels)]
    for place, path in places:
        target = Path(folder, "cells", place, path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    flags = {
        "dataset.root": Path(folder, "cells"),
        "model.name": "patchcore",
        "model.params": {"backbone": "efficientnet-lite0", "input_size": 224, "coreset_sampling_ratio": 0.01},
        "output.dir": Path(folder, "runs"),
        "output.report": False,
        "output.thumbnails": 0,
        "evaluation.pixel": False,
        "seed": seed,
    }
    return {"run": str(run_recipe(load_run_config(flags=flags)).path)}


def in_process(run: str, images: str, count: int) -> dict[str, Any]:
    """Score images from files to records, as ``infer`` does, in one process."""
    from pyimgano.workbench.inference import RunModels, Source, predict_stream, write_predictions
    from pyimgano.workbench.records import RecordWriter
    from pyimgano.workbench.render import PictureWriter
    from pyimgano.workbench.runs import open_run

    models = RunModels(open_run(run))
    files = sorted(Path(images).rglob("*.png"))
    sources = [Source(path.name, path) for path in files]
    stream = io.BytesIO()
    result: dict[str, Any] = {}

    def score(some: list[Any]) -> None:
        write_predictions(
            predict_stream(some, models.fitted, maps=True), RecordWriter(stream, "jsonl"), PictureWriter(Path())
        )

    score(sources[:16])
    with stopwatch(result, "seconds"):
        score([sources[number % len(sources)] for number in range(count)])
    return {**result, "images_per_second": count / result["seconds"]}


def served(run: str, images: str, count: int, clients: int, records: str | None) -> dict[str, Any]:
    """Send the same images to the service from clients of this process, and wait for all answers."""
    contents = [path.read_bytes() for path in sorted(Path(images).rglob("*.png"))]
    # What `pyimgano bundle serve` sets itself, where nobody has set another number.
    env = {"OPENBLAS_NUM_THREADS": "1"}
    service = Service(Path(run), None if records is None else Path(records), "--queue", str(2 * clients), env=env)
    try:
        _send(service.port, contents, 16, clients)
        start = time.perf_counter()
        failed = _send(service.port, contents, count, clients)
        seconds = time.perf_counter() - start
    finally:
        service.stop()
    if failed:
        raise RuntimeError(f"{failed} requests were not answered with 200")
    return {"seconds": seconds, "images_per_second": count / seconds}


def _send(port: int, contents: list[bytes], count: int, clients: int) -> int:
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        numbers.put(number)
    failures: list[int] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                connection.close()
                return
            body = contents[number % len(contents)]
            connection.request("POST", "/v1/inspect", body, {"Content-Type": "image/png"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failures.append(number)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(failures)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    serve({"fit": fit, "in_process": in_process, "served": served})
