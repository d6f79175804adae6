"""Write ``docs/models.md`` from the specs of the models and the runs that are kept in ``benchmarks/models``.

::

    python tools/write_models_page.py
    python tools/write_models_page.py --check
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Optional

from written_files import ROOT, write_or_check

from pyimgano.core.creation import create_model
from pyimgano.core.parameters import describe_parameters
from pyimgano.models.specs import METHODS

PAGE = ROOT / "docs" / "models.md"
RUNS = ROOT / "benchmarks" / "models"
LEADERBOARD = ROOT / "benchmarks" / "classical" / "elpv-cpu.csv"

HEAD = """# Models

Written by `python tools/write_models_page.py`; do not edit. `pyimgano models info NAME` shows a model's parameters and
what it needs; its docstring names the equations it follows, and what differs from the paper and why.

Every model runs in every command. Those that train learn by gradients: `pyimgano train` gives them their paper's length
unless told otherwise, the recipe `micro-finetune` a short, measured one (see [training](training.md)).

*graph*: the whole fitted detector can be exported as one ONNX graph, from an image to its score and map, which needs
neither torch nor this project to run (see [deployment](deployment.md)). The others are deployed as their state: MuSc
scores an image beside all others that it was given; `nearest-image` and `template-phase` choose between displacements
that differ by less than a graph's rounding.

{models}

## Measured

Each row is one run of the recipe `industrial-adapt`, made by `python -m benchmarks.model_runs` and kept in
[benchmarks/models](../benchmarks/models) with its config and reports. Read them as what two cores reach in minutes, not
as what a model can do: trained models get a short training at 128 pixels, far from their papers' lengths, and all have
the embedded EfficientNet-Lite0 where their papers have larger networks (DRÆM, which has none, is made narrower).

{conditions}

*fit* is the time of fitting or training (per category), *image* that of one image at a time, from array to score and
map, *memory* the peak of the whole process of the run, libraries included. AUROC and AUPRO (up to a false-positive rate
of 0.3) have their {confidence} % intervals where they have one. `–`: not defined there.

### Solar cells (ELPV, mono): {elpv_images}

Real cells with real defects; no masks, so there are no pixel metrics.

{elpv}

### Textures: {texture_images}

Photographs with painted defects whose masks are known; means over the categories. They prove that a model places what
it finds; how good it is, only real defects can tell.

{textures}

### The suite `cpu` on solar cells: {suite_images}

All classical detectors, on features of whole images and (`@patch`) on patches of the embedded backbone, beside deep
models without training, each with its defaults: mean ± standard deviation over {suite_splits}, made by `python -m
benchmarks.suite_runs` and kept as [a leaderboard](../benchmarks/classical/elpv-cpu.csv). Torch-free are those whose
features are ([classical detectors](classical.md) says which), and the models for aligned parts. What differs by less
than two standard deviations is not shown to differ.

{suite}
{suite_left_out}
"""


def page() -> str:
    """Return the page."""
    runs = {path.parent.name + "/" + path.stem: _load(path) for path in sorted(RUNS.glob("*/*.json"))}
    tables = {
        name: _table([run for key, run in runs.items() if key.startswith(name + "/")]) for name in ("elpv", "textures")
    }
    confidences = {
        metric["confidence"]
        for run in runs.values()
        for part in run["categories"]
        for metric in [part["metrics"]["image_auroc"]]
    }
    return HEAD.format(
        models=_models(),
        conditions=_conditions(list(runs.values())),
        confidence=round(100 * confidences.pop()),
        elpv_images=_images(runs, "elpv"),
        texture_images=_images(runs, "textures"),
        **tables,
        **_suite(),
    )


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _models() -> str:
    lines = ["| name | what it is | paper | trains in the modes | graph |", "| --- | --- | --- | --- | --- |"]
    for spec in METHODS:
        modes = getattr(create_model(spec.name), "modes", ()) if spec.finetune else ()
        paper = (spec.paper or "–").rstrip(".")
        named = ", ".join(f"`{mode}`" for mode in modes) or "–"
        graph = "yes" if "onnx" in spec.export else "–"
        lines.append(f"| `{spec.name}` | {spec.summary} | {paper} | {named} | {graph} |")
    return "\n".join(lines)


def _conditions(runs: list[dict[str, Any]]) -> str:
    machines = sorted({f"{run['machine']['cpu']}, {run['threads']} threads" for run in runs})
    python = sorted({run["machine"]["python"] for run in runs})
    versions = sorted({f"{name} {version}" for run in runs for name, version in run["versions"].items()})
    busy = max(run["other_cores"] for run in runs)
    return "\n".join(
        [
            f"- Machine: {'; '.join(machines)}; at most {busy:.2f} cores were busy with other work meanwhile.",
            f"- Python {', '.join(python)}; {', '.join(versions)}.",
        ]
    )


def _images(runs: dict[str, dict[str, Any]], dataset: str) -> str:
    run = next(run for key, run in runs.items() if key.startswith(dataset + "/"))
    parts = [part["data"] for part in run["categories"]]
    keys = ("n_fit", "n_calibration", "n_test_good", "n_test_defective")
    fit, held_out, good, defective = (sum(part[key] for part in parts) for key in keys)
    of = f"{len(parts)} categories, " if len(parts) > 1 else ""
    test = f"{good} good + {defective} defective to test"
    return f"{of}{fit} good images to fit on, {held_out} to calibrate on, {test}"


def _table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| model | image AUROC | AUPRO | overkill | escape | fit | image | memory | parameters |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in sorted(runs, key=lambda run: str(run["model"])):
        parts = run["categories"]
        fit = sum(part["timing"]["fit_seconds"] for part in parts) / len(parts)
        cells = [
            f"`{run['model']}`",
            *(_metric(parts, name) for name in ("image_auroc", "pixel_aupro")),
            *(_share(parts, name) for name in ("overkill", "escape")),
            f"{fit:.1f} s" if fit < 100 else f"{fit / 60:.1f} min",
            f"{run['latency_ms_median']:.0f} ms",
            f"{run['peak_mb']} MB",
            _parameters(run),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _suite() -> dict[str, str]:
    """Return what the page says of the leaderboard of the suite."""
    with open(LEADERBOARD, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    scored = [row for row in rows if row["status"] == "ok"]
    seeds = sorted({int(row["seed"]) for row in scored})
    counts = {
        tuple(row[key] for key in ("n_fit", "n_calibration", "n_test_good", "n_test_defective")) for row in scored
    }
    ((fit, held_out, good, defective),) = counts
    models: dict[str, list[dict[str, str]]] = {}
    for row in scored:
        models.setdefault(row["model"], []).append(row)
    lines = ["| model | image AUROC | overkill | escape | splits |", "| --- | --- | --- | --- | --- |"]
    for name, own in sorted(models.items(), key=lambda item: -mean(float(row["image_auroc"]) for row in item[1])):
        auroc = [float(row["image_auroc"]) for row in own]
        spread = f" ± {stdev(auroc):.3f}" if len(auroc) > 1 else ""
        shares = [f"{100 * mean(float(row[key]) for row in own):.0f} %" for key in ("overkill", "escape")]
        lines.append(f"| `{name}` | {mean(auroc):.3f}{spread} | {shares[0]} | {shares[1]} | {len(own)} |")
    missing: dict[str, str] = {row["model"]: row["error"] for row in rows if row["model"] not in models}
    told = [f"- `{name}`: {error}." for name, error in sorted(missing.items())]
    return {
        "suite": "\n".join(lines),
        "suite_images": f"{fit} good images to fit on, {held_out} to calibrate on, {good} + {defective} to test",
        "suite_splits": f"{len(seeds)} splits",
        "suite_left_out": "\nWithout a result:\n\n" + "\n".join(told) + "\n" if told else "",
    }


def _metric(parts: list[dict[str, Any]], name: str) -> str:
    metrics = [part["metrics"].get(name) or {"value": None} for part in parts]
    values = [metric["value"] for metric in metrics if metric["value"] is not None]
    if not values:
        return "–"
    average = f"{sum(values) / len(values):.3f}"
    interval = metrics[0].get("interval") if len(parts) == 1 else None
    return f"{average} ({interval[0]:.3f}–{interval[1]:.3f})" if interval else average


def _share(parts: list[dict[str, Any]], name: str) -> str:
    metrics = [part["metrics"][name] for part in parts]
    count: Optional[int] = sum(metric["count"] for metric in metrics)
    return f"{count}/{sum(next(iter(metric['n'].values())) for metric in metrics)}"


def _parameters(run: dict[str, Any]) -> str:
    """Return what was set, without what says the model's default again."""
    known = describe_parameters(type(create_model(run["model"])))
    set_here = {key: value for key, value in run["params"].items() if known[key]["default"] != value}
    return ", ".join(f"{key} {value}" for key, value in set_here.items()) or "defaults"


def main() -> int:
    """Run the command line."""
    return write_or_check(__doc__, {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
