"""``python -m benchmarks.preset_runs``: run the presets of ``industrial-adapt`` and keep the runs' reports.

A run is made as a user makes it, in a process of its own; then single images are timed through its loaded detector.
What is kept, ``benchmarks/presets/<data set>-seed-<n>/<preset>.json``, is the run's config and category reports and
what was measured beside them. ``tools/write_presets_page.py`` makes ``docs/presets.md`` of it, and what ``pyimgano
recipes info`` shows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import ChildError, latencies, machine, median, run_child, serve, versions

FOLDER = Path(__file__).resolve().parent / "presets"
RECIPE = "industrial-adapt"
DISTRIBUTIONS = ["pyimgano-models", "pyimgano-workbench", "torch", "onnxruntime", "numpy", "opencv-python"]

RUNS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("elpv", 0, ("balanced", "fast", "accurate", "noisy-train")),
    ("elpv-noisy", 0, ("balanced", "noisy-train")),
    ("elpv-few-10", 0, ("few-shot",)),
    ("elpv-few-5", 0, ("few-shot",)),
    ("panels", 0, ("balanced", "accurate", "highres")),
    ("elpv", 1, ("balanced", "fast", "noisy-train")),
    ("elpv-noisy", 1, ("balanced", "noisy-train")),
    ("elpv-few-10", 1, ("few-shot",)),
    ("elpv-few-5", 1, ("few-shot",)),
    ("textures", 0, ("balanced", "fast", "accurate", "highres", "noisy-train")),
    ("textures-few", 0, ("few-shot",)),
    ("elpv", 0, ("highres",)),
)
"""(data set, seed, presets), in the order in which they are made."""


def make_run(preset: str, dataset: str, seed: int, *, threads: int, repeats: int = 30) -> dict[str, Any]:
    """Run one preset on one data set, and time single images.

    Parameters
    ----------
    preset, dataset : str
        See :data:`RUNS`.
    seed : int
        Of the data set's split and of the run.
    threads : int
        Number of threads.
    repeats : int
        Single images to time.

    Returns
    -------
    dict
        ``config`` and ``categories`` (the reports) of the run, ``latency_ms`` and ``peak_fit_mb``.
    """
    import torch

    from benchmarks.measure import peak_rss_mb
    from benchmarks.preset_data import write_data
    from pyimgano.core.images import read_image
    from pyimgano.datasets import read_dataset
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.inference import RunModels
    from pyimgano.workbench.inference.sources import Source
    from pyimgano.workbench.training import run_recipe

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-preset-") as folder:
        root = write_data(dataset, Path(folder) / dataset, seed)
        flags = {"preset": preset, "dataset.root": root, "output.dir": Path(folder) / "runs", "seed": seed}
        run = run_recipe(load_run_config(settings=["output.report=false"], flags=flags))
        peak = peak_rss_mb()
        reports = [part.report() for part in run.categories()]
        first = run.categories()[0].name
        samples = [s for s in read_dataset(root, seed=seed).samples if s.split == "test"]
        own = [s.source for s in samples if s.category in (None, first)][:10]
        detector = RunModels(run).fitted(Source(own[0].name, own[0], category=first)).detector
        images = [read_image(path) for path in own]
        turn = iter(range(10**9))
        times = latencies(lambda: detector.infer([images[next(turn) % len(images)]]), warm_up=3, repeats=repeats)
        config = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    # Bulky, and nothing that the page shows.
    for report in reports:
        report["by_defect"] = {kind: {"n": row["n"]} for kind, row in report["by_defect"].items()}
        report["calibration"].pop("held_out_scores", None)
    return {"config": config, "categories": reports, "latency_ms": times, "peak_fit_mb": peak}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when every run was made, else 2."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preset_runs", description=__doc__)
    parser.add_argument("--presets", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--missing", action="store_true", help="only runs that are not kept yet")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of each process (default 2)")
    options = parser.parse_args(arguments)
    failed = []
    for dataset, seed, presets in RUNS:
        for preset in presets:
            path = FOLDER / f"{dataset}-seed-{seed}" / f"{preset}.json"
            left_out = (options.presets and preset not in options.presets) or (options.missing and path.is_file())
            if left_out or (options.datasets and dataset not in options.datasets):
                continue
            print(f"{preset} on {dataset}, seed {seed} …", file=sys.stderr, flush=True)
            given = {"preset": preset, "dataset": dataset, "seed": seed, "threads": options.threads}
            try:
                answer = run_child("benchmarks.preset_runs", "make_run", given, threads=options.threads)
            except ChildError as error:
                print(error, file=sys.stderr)
                failed.append(f"{preset} on {dataset}, seed {seed}")
                continue
            record = {
                "recipe": RECIPE,
                **given,
                "machine": machine(),
                "versions": versions(DISTRIBUTIONS),
                "latency_ms_median": round(median(answer.pop("latency_ms")), 2),
                "peak_mb": round(answer.pop("peak_fit_mb") or 0.0) or None,
                "other_cores": round(answer.pop("other_cores") or 0.0, 2),
                "config": answer["config"],
                "categories": answer["categories"],
            }
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for name in failed:
        print(f"not measured: {name}", file=sys.stderr)
    return 2 if failed else 0


if __name__ == "__main__":
    if "--request" in sys.argv:
        serve({"make_run": make_run})
    else:
        sys.exit(main())
