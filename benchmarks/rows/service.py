"""The service beside the same stages in one process: images per second."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options, Outcome, Row

GOAL = 0.9
CLIENTS = 16


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Two rows: without and with records on the disk.
    """
    threads = options.threads
    count = 60 if options.quick else 400
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-service-") as folder:
        fitted = run_child(
            "benchmarks.service_ours",
            "fit",
            {"folder": folder, "seed": options.seed, "n_train": options.n_train},
            threads=threads,
        )
        common = {"run": fitted["run"], "images": str(Path(folder, "cells", "test")), "count": count}
        answers = alternate(
            {
                "in_process": lambda: run_child("benchmarks.service_ours", "in_process", common, threads=threads),
                "served": lambda: run_child(
                    "benchmarks.service_ours",
                    "served",
                    {**common, "clients": CLIENTS, "records": None},
                    threads=threads,
                ),
                "recorded": lambda: run_child(
                    "benchmarks.service_ours",
                    "served",
                    {**common, "clients": CLIENTS, "records": str(Path(folder, "records.jsonl"))},
                    threads=threads,
                ),
            },
            1 if options.quick else max(3, options.rounds),
        )
    rate = {side: median([answer["images_per_second"] for answer in found]) for side, found in answers.items()}
    rows = [
        Row(
            name=name,
            ours=f"{rate[side]:.1f} images/s",
            other=f"{rate['in_process']:.1f} images/s",
            ratio=f"{rate[side] / rate['in_process']:.2f}×",
            goal=f"≥ {GOAL}×" if side == "served" else "",
            passed=rate[side] / rate["in_process"] >= GOAL if side == "served" and not options.quick else None,
            method=method,
        )
        for side, name, method in (
            (
                "served",
                "PatchCore 1 %: the service",
                (
                    f"{count} PNG files of 300 × 300 pixels over loopback, {CLIENTS} clients in a process on the same"
                    " cores, connections kept, the service with one BLAS thread as it sets it by itself; beside it"
                    " `predict_stream` from the same files to records, in batches. Both with maps and regions."
                ),
            ),
            ("recorded", "PatchCore 1 %: the service, with records", "the same, each record on the disk (fsync)."),
        )
    ]
    return Outcome(rows, dict(answers))
