"""The project's side: every function is a task of a process of its own (see :mod:`benchmarks.measure`)."""

from __future__ import annotations

from typing import Any

from benchmarks.elpv import mono_split
from benchmarks.measure import latencies, peak_rss_mb, serve, stopwatch

PATCHCORE_LAYERS = ("blocks.2", "blocks.4")
PADIM_LAYERS = ("blocks.1", "blocks.2", "blocks.4")


def build(model: str, seed: int, *, ratio: float = 0.01, runtime: str = "auto") -> Any:
    """Return the project's model with the parameters that the peer gets.

    Parameters
    ----------
    model : {"patchcore", "padim"}
        Which model.
    seed : int
        Seed of the model's draws.
    ratio : float
        PatchCore's coreset sampling ratio.
    runtime : str
        The backbone's runtime.

    Returns
    -------
    Detector
        The unfitted model.
    """
    from pyimgano.models import create_model

    common: dict[str, Any] = {"backbone": "efficientnet-lite0", "input_size": 224, "runtime": runtime, "seed": seed}
    if model == "patchcore":
        return create_model(
            "patchcore", layers=PATCHCORE_LAYERS, coreset_sampling_ratio=ratio, num_neighbors=9, **common
        )
    return create_model("padim", layers=PADIM_LAYERS, n_features=100, **common)


def fit_predict(
    model: str,
    seed: int,
    *,
    threads: int,
    n_train: int = 200,
    n_test: int = 100,
    predict: bool = True,
    ratio: float = 0.01,
    runtime: str = "auto",
) -> dict[str, Any]:
    """Fit on a split's training images and, if asked for, score its test images.

    Parameters
    ----------
    model : {"patchcore", "padim"}
        Which model.
    seed : int
        Seed of the split and of the model.
    threads : int
        Number of threads; fixed by the process's environment and its cores.
    n_train, n_test : int
        Number of training images, and of test images of each kind.
    predict : bool
        Whether to score the test images.
    ratio : float
        PatchCore's coreset sampling ratio.
    runtime : str
        The backbone's runtime.

    Returns
    -------
    dict
        Seconds of each part, the peak memory after the fit, raw scores in the order of the split, their AUROC.
    """
    result: dict[str, Any] = {"model": model, "seed": seed, "n_train": n_train, "threads": threads}
    with stopwatch(result, "import_seconds"):
        import pyimgano.models  # noqa: F401
    split = mono_split(seed).head(n_train, n_test)
    with stopwatch(result, "build_seconds"):
        detector = build(model, seed, ratio=ratio, runtime=runtime)
    with stopwatch(result, "fit_seconds"):
        detector.fit([str(path) for path in split.train])
    result["fit_peak_rss_mb"] = peak_rss_mb()
    result["runtime"] = detector.extractor_facts_["runtime"]
    if predict:
        with stopwatch(result, "predict_seconds"):
            scores = detector.infer([str(path) for path in split.test])
        result["predict_peak_rss_mb"] = peak_rss_mb()
        result["images"] = [path.name for path in split.test]
        result["labels"] = split.labels
        result["scores"] = [float(score) for score in scores.image_scores]
        result["map_shape"] = list(scores.maps.shape[-2:])
        from sklearn.metrics import roc_auc_score

        result["auroc"] = float(roc_auc_score(result["labels"], result["scores"]))
    return result


def latency(
    model: str,
    seed: int,
    *,
    threads: int,
    repeats: int,
    n_train: int = 200,
    ratio: float = 0.01,
    runtime: str = "auto",
) -> dict[str, Any]:
    """Time one image at a time: uint8 array in, score and map out.

    Parameters
    ----------
    model : {"patchcore", "padim"}
        Which model.
    seed : int
        Seed of the split and of the model.
    threads : int
        Number of threads; fixed by the process's environment and its cores.
    repeats : int
        Number of timed calls.
    n_train : int
        Number of training images.
    ratio : float
        PatchCore's coreset sampling ratio.
    runtime : str
        The backbone's runtime.

    Returns
    -------
    dict
        Milliseconds of each call.
    """
    import numpy as np
    from PIL import Image

    split = mono_split(seed).head(n_train, 100)
    detector = build(model, seed, ratio=ratio, runtime=runtime).fit([str(path) for path in split.train])
    images = [np.asarray(Image.open(path).convert("RGB")) for path in split.test[:: max(1, len(split.test) // 10)]]
    turn = iter(range(10**9))

    def whole() -> Any:
        out = detector.infer([images[next(turn) % len(images)]])
        return out.image_scores, out.maps

    return {
        "latency_ms": latencies(whole, warm_up=5, repeats=repeats),
        "map_shape": list(whole()[1].shape[-2:]),
        "runtime": detector.extractor_facts_["runtime"],
        "threads": threads,
    }


def coreset(file: str, *, ratio: float, start: int, threads: int) -> dict[str, Any]:
    """Time the project's exact greedy coreset on features in a file.

    Parameters
    ----------
    file : str
        ``.npy`` file of the features.
    ratio : float
        Share to keep.
    start : int
        The first point.
    threads : int
        Number of threads; fixed by the process's environment and its cores.

    Returns
    -------
    dict
        Seconds and the selection in its order.
    """
    import numpy as np

    from pyimgano.models.coreset import coreset_size, greedy_coreset

    table = np.load(file)
    result: dict[str, Any] = {"threads": threads}
    with stopwatch(result, "seconds"):
        selected = greedy_coreset(table, coreset_size(len(table), ratio), start=start)
    result["selected"] = [int(i) for i in selected]
    return result


def pixel_metrics(folder: str, *, threads: int, mode: str = "exact") -> dict[str, Any]:
    """Time the pixel metrics of maps and masks in memory.

    Parameters
    ----------
    folder : str
        Of :func:`benchmarks.maps.make`.
    threads : int
        Number of threads; fixed by the process's cores.
    mode : {"exact", "binned"}
        How.

    Returns
    -------
    dict
        Seconds, values, errors of the binned mode, peak memory beyond the inputs.
    """
    import cv2  # noqa: F401 — imported late by the metrics; no side's imports are timed

    from benchmarks.maps import load, resident_mb
    from pyimgano.workbench.evaluate import pixel_metrics as measure

    maps, masks = load(folder)
    marked = masks.any(axis=(1, 2)).tolist()
    held = resident_mb()
    result: dict[str, Any] = {"threads": threads}
    with stopwatch(result, "seconds"):
        found = measure(lambda index: (maps[index], masks[index]), marked, mode=mode).metrics
    free = {name: metric for name, metric in found.items() if metric.value is not None}
    result["values"] = {name: metric.value for name, metric in free.items()}
    result["errors"] = {name: metric.facts["error"] for name, metric in free.items() if "error" in metric.facts}
    peak = peak_rss_mb()
    result["extra_mb"] = None if held is None or peak is None else peak - held
    return result


def image_metrics(count: int, *, seed: int, threads: int) -> dict[str, Any]:
    """Time the image metrics.

    Parameters
    ----------
    count : int
        Number of scores, half of them defective.
    seed : int
        Of the draw.
    threads : int
        Number of threads; fixed by the process's cores.

    Returns
    -------
    dict
        Seconds: the least of three; the AUROC.
    """
    from benchmarks.maps import image_scores
    from pyimgano.workbench.evaluate import image_metrics as measure

    scores, labels = image_scores(count, seed)
    measure(scores[:100], labels[:100])  # imports late; no side's imports are timed
    times = []
    for _ in range(3):
        result: dict[str, Any] = {}
        with stopwatch(result, "seconds"):
            found = measure(scores, labels)
        times.append(result["seconds"])
    return {"seconds": min(times), "threads": threads, "auroc": found["image_auroc"].value}


if __name__ == "__main__":
    serve(
        {
            "fit_predict": fit_predict,
            "latency": latency,
            "coreset": coreset,
            "pixel_metrics": pixel_metrics,
            "image_metrics": image_metrics,
        }
    )
