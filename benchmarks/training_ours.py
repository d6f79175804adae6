"""The project's side of the training rows: every function is a task of a process of its own."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.elpv import mono_split
from benchmarks.measure import latencies, peak_rss_mb, serve

SIZE = 256


def build(model: str, *, batch_size: int, epochs: int, folder: str) -> Any:
    """Return the project's model as the paper has it, with random weights of the frozen part.

    Parameters
    ----------
    model : {"stfpm", "efficient-ad", "supersimplenet"}
        Which model.
    batch_size, epochs : int
        Of the training; for EfficientAD ``epochs`` are steps.
    folder : str
        Photographs for EfficientAD's penalty.

    Returns
    -------
    Detector
        The unfitted model.
    """
    from pyimgano.models import create_model

    common: dict[str, Any] = {"input_size": SIZE, "batch_size": batch_size, "weights": "random", "device": "cpu"}
    if model == "efficient-ad":
        return create_model("efficient-ad", imagenet_dir=folder, steps=epochs, **common)
    if model == "stfpm":
        return create_model(model, backbone="resnet18", epochs=epochs, **common)
    # What "auto" takes with weights that are not random.
    return create_model(model, backbone="wide_resnet50_2", runtime="onnxruntime", epochs=epochs, **common)


def train(model: str, *, batch_size: int, steps: int, repeats: int, folder: str, threads: int) -> dict[str, Any]:
    """Time the steps of ``fit`` on files, each from the start of one to the start of the next, then single images.

    Parameters
    ----------
    model : str
        See :func:`build`.
    batch_size, steps : int
        Of the training: one epoch of that many batches.
    repeats : int
        Single images to time.
    folder : str
        Photographs for EfficientAD's penalty.
    threads : int
        Number of threads.

    Returns
    -------
    dict
        ``step_seconds``, ``latency_ms``, ``fit_peak_rss_mb``.
    """
    import torch

    from pyimgano.core.images import read_image

    torch.set_num_threads(threads)
    split = mono_split(0)
    paths = split.train[: batch_size * steps]
    detector = build(model, batch_size=batch_size, epochs=steps if model == "efficient-ad" else 1, folder=folder)
    starts: list[float] = []
    step = detector.training_step

    def timed(*given: Any) -> Any:
        starts.append(time.perf_counter())
        return step(*given)

    detector.training_step = timed
    detector.fit(paths)
    peak = peak_rss_mb()
    images = [read_image(path) for path in split.test[::20]]
    turn = iter(range(10**9))
    times = latencies(lambda: detector.infer([images[next(turn) % len(images)]]), warm_up=3, repeats=repeats)
    return {
        "step_seconds": [after - before for before, after in zip(starts, starts[1:])],
        "latency_ms": times,
        "fit_peak_rss_mb": peak,
    }


if __name__ == "__main__":
    serve({"train": train})
