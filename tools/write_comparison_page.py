"""Write ``docs/comparison.md`` from what the benchmarks have measured.

::

    python tools/write_comparison_page.py
    python tools/write_comparison_page.py --check
"""

from __future__ import annotations

import csv
import json
import sys
from statistics import mean, stdev
from typing import Any

from written_files import ROOT, write_or_check

PAGE = ROOT / "docs" / "comparison.md"
BENCHMARKS = ROOT / "benchmarks"
SPEED = (
    "PatchCore 1 %: fit",
    "PatchCore 1 %: peak memory of the fit",
    "Greedy coreset, 1 %",
    "PatchCore 1 %: one image",
    "PaDiM: fit",
    "PaDiM: peak memory of the fit",
    "`pyimgano --help`, beside `anomalib --help`",
)
METRICS = ("Pixel metrics, 13 M pixels, beside anomalib", "Pixel metrics, 13 M pixels: memory")
PYOD_SHOWN = 5

HEAD = """# Compared with anomalib and PyOD

Written by `python tools/write_comparison_page.py` from the kept benchmarks; do not edit. Every figure stands below \
the command that
measures it, and is shown whichever side it favours.

## What each is for

| | pyimgano | [anomalib](https://github.com/open-edge-platform/anomalib) | [PyOD](https://github.com/yzhao062/pyod) |
| --- | --- | --- | --- |
| is | a workbench: data, calibration, evaluation, artifacts, inference around any model | a library of deep models \
with a training engine | a library of outlier detectors on tables |
| input | folders and lists of images | folders of images, public data sets | feature vectors |
| models | its own, and those of scikit-learn, PyOD, anomalib and OpenCLIP, through one contract | the widest choice \
of published deep ones, with trainings on several devices | dozens of classical and neural ones |
| threshold | from held-out good images, with n, promise and interval ([calibration](explanation/calibration.md)); \
test images never touch it | from the images of the validation split, which most of its data modules take from the \
test images unless told otherwise | from the assumed share of outliers among the images it was fitted on |
| scores | raw everywhere | normalised to [0, 1] by the extremes of the validation images, unless switched off | \
raw; probabilities on request |
| runs on | Python 3.9 to 3.12, classical models without torch; processors and CUDA, of which only processors are \
tested | Python 3.10 and later, torch; CUDA, XPU and others | Python 3.9 and later |
| leaves | a run directory that is compared, gated, verified; a bundle with a parity check | checkpoints, OpenVINO \
and ONNX exports | a fitted object |

Take **anomalib** for the newest deep model and for training on a large machine. Take **PyOD** where the \
features are there and images are
not the matter. Take pyimgano for the way around them: which images, which threshold, is it better, can it be made \
again, does the line
compute the same. They are no alternatives: `pyimgano train --model pyod-ecod` runs PyOD's detector
([classical detectors](classical.md)), and the package `pyimgano-anomalib` trains anomalib's models by anomalib's \
engine.

## The same numbers first

With the same weights, our PatchCore, PaDiM, STFPM, reverse distillation, EfficientAD, DRÆM, CFLOW, FastFlow, DFM, \
SuperSimpleNet,
AnomalyDINO and WinCLIP give the scores and maps that anomalib's modules give, model by model, within the tolerance \
that each test states:

```bash
nox -s tests -- tests/parity
```

## Speed and memory, beside anomalib

Both sides in one run, on one machine, with the same weights and images, each in processes of its own. *goal* is \
what this project had set itself;
the goals that were missed are marked. How each side was measured: [results](../benchmarks/RESULTS.md).

```bash
nox -s bench
```

- {speed_machine}
- {speed_versions}

{speed}

## Metrics, beside anomalib

```bash
python -m benchmarks --only metrics
```

{metrics}

The figures agree to the error that [the table](../benchmarks/METRICS.md) states.

## How good: PyOD's detectors among the others

Real solar cells (ELPV, mono): {images};
mean ± standard deviation over {splits} split seeds. PyOD's detectors get features of whole images,
which is what they take; most neighbours differ by less than their spread. The five best of PyOD and its last,
beside the five best of all, from [the whole table](models.md#measured):

```bash
python -m benchmarks.suite_runs
```

{suite}

What this does not say: it is one data set without masks, one backbone (EfficientNet-Lite0) for all, and each \
model's defaults; nobody tuned
the ones or the others.
"""


def page() -> str:
    """Return the page."""
    results, metrics = (_load(f"{name}.json") for name in ("RESULTS", "METRICS"))
    about = (BENCHMARKS / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    return HEAD.format(
        speed=_rows(results, SPEED),
        speed_machine=_line(about, "- Machine: "),
        speed_versions=_line(about, "- Python "),
        metrics=_rows(metrics, METRICS),
        **_suite(),
    )


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((BENCHMARKS / name).read_text(encoding="utf-8"))
    return loaded


def _line(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))[2:]


def _rows(results: dict[str, Any], names: tuple[str, ...]) -> str:
    found = {row["name"]: row for group in results["groups"].values() for row in group["rows"]}
    lines = ["| | pyimgano | anomalib | ratio | goal | |", "| --- | --- | --- | --- | --- | --- |"]
    for name in names:
        row = found[name]
        verdict = {True: "reached", False: "**missed**", None: ""}[row["passed"]]
        other = row["other"].replace(" (anomalib)", "")
        lines.append(f"| {name} | {row['ours']} | {other} | {row['ratio']} | {row['goal'] or '–'} | {verdict} |")
    return "\n".join(lines)


def _suite() -> dict[str, str]:
    with open(BENCHMARKS / "classical" / "elpv-cpu.csv", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["status"] == "ok"]
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["model"], []).append(float(row["image_auroc"]))
    ranked = sorted(values, key=lambda model: -mean(values[model]))
    pyod = [model for model in ranked if model.startswith("pyod-")]
    shown = {*ranked[:PYOD_SHOWN], *pyod[:PYOD_SHOWN], pyod[-1]}
    lines = ["| rank of all | model | image AUROC |", "| --- | --- | --- |"]
    for rank, model in enumerate(ranked, 1):
        if model in shown:
            lines.append(
                f"| {rank} of {len(ranked)} | `{model}` | {mean(values[model]):.3f} ± {stdev(values[model]):.3f} |"
            )
    first = rows[0]
    return {
        "suite": "\n".join(lines),
        "splits": str(len({row["seed"] for row in rows})),
        "images": f"{first['n_fit']} good images to fit on, {first['n_calibration']} to calibrate on, "
        f"{first['n_test_good']} good and {first['n_test_defective']} defective to test",
    }


def main() -> int:
    """Run the command line."""
    return write_or_check(__doc__, {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
