"""``python -m benchmarks.model_runs``: run every model on both data sets and keep the runs' reports.

A run is made as a user makes it, by the recipe ``industrial-adapt``, in a process of its own; then single images are
timed through its loaded detector. What is kept, ``benchmarks/models/<data set>/<model>.json``, is the run's own config
and category reports and what was measured beside them. ``tools/write_models_page.py`` makes ``docs/models.md`` of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import ChildError, latencies, machine, median, run_child, serve, versions

FOLDER = Path(__file__).resolve().parent / "models"
DATASETS = ("elpv", "textures")
SEED = 0
DISTRIBUTIONS = ["pyimgano-models", "pyimgano-workbench", "torch", "onnxruntime", "numpy", "opencv-python"]

_LITE0 = {"backbone": "efficientnet-lite0"}
_MEMORY = {**_LITE0, "input_size": 224}
# Trained models: a short training that two cores can do, far from the papers' lengths.
_SMALL = {**_LITE0, "input_size": 128}
_NARROW = {"reconstruction_width": 8, "segmentation_width": 8}
PARAMETERS: dict[str, dict[str, Any]] = {
    "anomaly-dino": {**_MEMORY},
    "cflow": {**_SMALL, "epochs": 3, "batch_size": 8},
    "dfm": {**_MEMORY},
    "draem": {"input_size": 128, **_NARROW, "epochs": 6, "learning_rate": 2e-3},
    "efficient-ad": {**_SMALL, "steps": 200, "learning_rate": 5e-4},
    "fastflow": {**_SMALL, "epochs": 4, "batch_size": 8, "learning_rate": 2e-3},
    "musc": {**_SMALL},
    "nearest-image": {},
    "padim": {**_MEMORY},
    "patchcore": {**_MEMORY, "coreset_sampling_ratio": 0.1},
    "pixel-gaussian": {},
    "pixel-median": {},
    "reverse-distillation": {**_SMALL, "epochs": 5, "batch_size": 8},
    "simplenet": {**_SMALL, "epochs": 5, "batch_size": 8, "noise_sigma": 4.0},
    "sklearn-isolation-forest": {**_MEMORY},
    "softpatch": {**_MEMORY},
    "spade": {**_SMALL},
    "stfpm": {**_SMALL, "epochs": 6, "batch_size": 16},
    "supersimplenet": {**_SMALL, "epochs": 5, "batch_size": 8, "noise_sigma": 4.0},
    "template-ncc": {},
    "template-phase": {},
    "template-ssim": {},
}
"""Model → parameters that differ from its defaults."""


def make_run(name: str, dataset: str, params: dict[str, Any], *, threads: int, repeats: int = 30) -> dict[str, Any]:
    """Run one model on one data set, and time single images.

    Parameters
    ----------
    name, dataset : str
        The model, and one of :data:`DATASETS`.
    params : dict
        Of the model.
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
    from pyimgano.core.images import read_image
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, write_elpv
    from pyimgano.workbench.demo.textures import write_textures
    from pyimgano.workbench.inference import RunModels
    from pyimgano.workbench.inference.sources import Source
    from pyimgano.workbench.training import run_recipe

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-run-") as folder:
        root = Path(folder) / dataset
        if dataset == "elpv":
            write_elpv(root, seed=SEED)
        else:
            write_textures(root, seed=SEED)
        settings = [f"model.params={json.dumps(params)}", f"seed={SEED}", "output.report=false"]
        flags = {
            "model.name": name,
            "dataset.root": root / ELPV_MANIFEST if dataset == "elpv" else root,
            "output.dir": Path(folder) / "runs",
        }
        run = run_recipe(load_run_config(settings=settings, flags=flags))
        peak = peak_rss_mb()
        reports = [part.report() for part in run.categories()]
        models = RunModels(run)
        paths = sorted(path for path in root.rglob("*.png") if "ground_truth" not in path.parts)[:10]
        first = run.categories()[0].name
        detector = models.fitted(Source(paths[0].name, paths[0], category=first)).detector
        images = [read_image(path) for path in paths]
        turn = iter(range(10**9))
        times = latencies(lambda: detector.infer([images[next(turn) % len(images)]]), warm_up=3, repeats=repeats)
        config = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    # Bulky, and nothing that the page shows.
    for report in reports:
        report["by_defect"] = {kind: {"n": row["n"]} for kind, row in report["by_defect"].items()}
    return {"config": config, "categories": reports, "latency_ms": times, "peak_fit_mb": peak}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when every run was made, else 2."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_runs", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=sorted(PARAMETERS), default=sorted(PARAMETERS), metavar="NAME")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of each process (default 2)")
    options = parser.parse_args(arguments)
    failed = []
    for dataset in options.datasets:
        for name in options.models:
            print(f"{name} on {dataset} …", file=sys.stderr, flush=True)
            given = {"name": name, "dataset": dataset, "params": PARAMETERS[name], "threads": options.threads}
            try:
                answer = run_child("benchmarks.model_runs", "make_run", given, threads=options.threads)
            except ChildError as error:
                print(error, file=sys.stderr)
                failed.append(f"{name} on {dataset}")
                continue
            record = {
                "model": name,
                "dataset": dataset,
                "params": PARAMETERS[name],
                "threads": options.threads,
                "machine": machine(),
                "versions": versions(DISTRIBUTIONS),
                "latency_ms_median": round(median(answer.pop("latency_ms")), 2),
                "peak_mb": round(answer.pop("peak_fit_mb") or 0.0) or None,
                "other_cores": round(answer.pop("other_cores") or 0.0, 2),
                "config": answer["config"],
                "categories": answer["categories"],
            }
            path = FOLDER / dataset / f"{name}.json"
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
