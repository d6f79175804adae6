"""Fitting a model end to end on both sides, in turn; shared by the PatchCore and the PaDiM rows."""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options

PEER_WORKERS = (8, 0)


def both_sides(model: str, options: Options) -> dict[str, list[dict[str, Any]]]:
    """Fit on both sides, in turn.

    The peer runs with its default of 8 data-loading processes and with none: one is faster and the other takes
    less memory, which of them depends on the machine. The rows take the better one for the peer, each time.

    Parameters
    ----------
    model : {"patchcore", "padim"}
        Which model.
    options : Options
        The run's options.

    Returns
    -------
    dict
        Answers of ``ours``, ``peer 8`` and ``peer 0``, and of ``ours, empty cache`` (one fit that also has to
        export the backbone).
    """
    arguments = {
        "model": model,
        "seed": options.seed,
        "threads": options.threads,
        "n_train": options.n_train,
        "predict": False,
    }

    def ours(env: dict[str, str] | None = None) -> dict[str, Any]:
        return run_child("benchmarks.ours", "fit_predict", arguments, threads=options.threads, env=env)

    def peer(workers: int) -> dict[str, Any]:
        return run_child(
            "benchmarks.peer_anomalib", "fit_predict", {**arguments, "workers": workers}, threads=options.threads
        )

    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-cache-") as cache:
        cold = ours({"PYIMGANO_CACHE_DIR": cache})
        warm = {"PYIMGANO_CACHE_DIR": cache}
        answers = alternate(
            {
                "ours": lambda: ours(warm),
                "peer 8": lambda: peer(8),
                "ours again": lambda: ours(warm),
                "peer 0": lambda: peer(0),
            },
            1 if options.quick else options.rounds,
        )
    answers["ours"] += answers.pop("ours again")
    answers["ours, empty cache"] = [cold]
    return answers


def seconds(answers: list[dict[str, Any]]) -> float:
    """Return the median seconds of building the model and fitting it.

    Parameters
    ----------
    answers : list of dict
        Answers of one side.

    Returns
    -------
    float
        Seconds.
    """
    return median([answer["build_seconds"] + answer["fit_seconds"] for answer in answers])


def memory(answers: list[dict[str, Any]]) -> float:
    """Return the median peak memory in MB.

    Parameters
    ----------
    answers : list of dict
        Answers of one side.

    Returns
    -------
    float
        MB.
    """
    return median([answer["fit_peak_rss_mb"] for answer in answers])


def better_peer(answers: dict[str, list[dict[str, Any]]], figure: Any) -> tuple[float, int]:
    """Return the peer's better figure and with how many loading processes it was reached.

    Parameters
    ----------
    answers : dict
        What :func:`both_sides` returned.
    figure : callable
        :func:`seconds` or :func:`memory`.

    Returns
    -------
    tuple of (float, int)
        The figure and the number of processes.
    """
    return min((figure(answers[f"peer {workers}"]), workers) for workers in PEER_WORKERS)
