"""Write ``docs/presets.md``, and the figures that ``pyimgano recipes info`` shows, from ``benchmarks/presets``.

::

    python tools/write_presets_page.py
    python tools/write_presets_page.py --check
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from written_files import ROOT, write_or_check

from benchmarks.preset_data import DATASETS
from benchmarks.preset_runs import RECIPE
from pyimgano.core.files import dumps_json
from pyimgano.recipes.specs import RECIPES
from pyimgano.workbench.plan.words import calibration_words
from pyimgano.workbench.recipe import preset_defaults, preset_facts, recipe_presets

RUNS = ROOT / "benchmarks" / "presets"
PAGE = ROOT / "docs" / "presets.md"
FIGURES = ROOT / "packages" / "pyimgano-workbench" / "src" / "pyimgano" / "recipes" / "measured.json"

HEAD = """# Presets

Written by `python tools/write_presets_page.py`; do not edit.

A preset is a part of a run config: defaults to start from. `pyimgano recipes info NAME` shows the same as this page for
any recipe, `--json` for programs; `pyimgano train --preset NAME --dry-run` says what one will need on your images.

```console
pyimgano train --dataset parts --preset few-shot
pyimgano init parts --preset noisy-train           # a config to edit
```

## Which one

{choice}

## What a preset may not do

- What you set always wins, key by key, whether in a file, by `--set` or by an option.
- Where you name another model than the preset's, the preset's model parameters are left out, since they are not those
  of your model; where you name another calibration method, so are its parameters of the method.
- What would leave nothing of a preset is an error that says so, before anything is read: `noisy-train` *is* its model,
  and is refused beside another one.
- `few-shot` fits once for each good image, and is refused where a category has more than {most} of them, unless
  `calibration.params.folds` is set to a number, or the method to another one.

## Measured

Each row is one run, made by `python -m benchmarks.preset_runs` and kept in
[benchmarks/presets](../benchmarks/presets) with its config and reports. *fit* is the time of fitting (the mean over the
categories, the folds of a calibration not counted), *image* that of one image at a time from array to score and map,
*memory* the peak of the whole process of the run, libraries included. AUROC with its {confidence} % interval where it
has one; with several categories, means. Overkill and escape are counted at the calibrated threshold.

{conditions}

How the tables were read when the presets were chosen:

- More pixels pay where a defect is small beside the image (*panels*), and cost time and memory everywhere; on
  single cells of 300 pixels `accurate` is no better than `balanced`. That `highres` finds more than `accurate`
  is not shown by these 80 panels: it is for images larger than they are. Measure both on yours.
- A handful of images ranks clearly worse than two hundred do, and its threshold is as uncertain as few scores
  make it: what alpha allows is an expectation, and a run may well show more.
- `noisy-train` loses nothing to defective cells among the good ones (*elpv* against *elpv-noisy*). `balanced`
  ranks better even then, but its threshold does not bear defective images among those that are held out: by the
  split of seed 1 most defects escape it. Look at the training set first
  ([audit](datasets.md#audit-copies-odd-files-suspicious-good-images)).

{tables}
"""


def main() -> int:
    """Run the command line."""
    runs = {path: _load(path) for path in sorted(RUNS.glob("*/*.json"))}
    return write_or_check(__doc__, {PAGE: _page(runs), FIGURES: _figures(runs)})


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _figures(runs: dict[Path, dict[str, Any]]) -> str:
    """Return the file that the package carries: recipe → preset → figures of its runs, each with its source."""
    order = {name: position for position, name in enumerate(DATASETS)}
    presets: dict[str, list[dict[str, Any]]] = {}
    for path, run in sorted(runs.items(), key=lambda item: (order[item[1]["dataset"]], item[1]["seed"])):
        numbers = _numbers(run)
        presets.setdefault(run["preset"], []).append(
            {
                "text": f"{run['dataset']}, seed {run['seed']}: {_sentence(numbers)}",
                "source": path.relative_to(ROOT).as_posix(),
                "dataset": DATASETS[run["dataset"]],
                "seed": run["seed"],
                **numbers,
            }
        )
    return dumps_json({"schema_version": 1, "recipes": {RECIPE: presets}}, indent=1) + "\n"


def _numbers(run: dict[str, Any]) -> dict[str, Any]:
    parts = run["categories"]
    aurocs = [part["metrics"]["image_auroc"]["value"] for part in parts]
    aupros = [(part["metrics"].get("pixel_aupro") or {}).get("value") for part in parts]
    counts = {}
    for name in ("overkill", "escape"):
        metrics = [part["metrics"][name] for part in parts]
        counts[name] = [sum(m["count"] for m in metrics), sum(next(iter(m["n"].values())) for m in metrics)]
    return {
        "image_auroc": round(sum(aurocs) / len(aurocs), 4),
        "pixel_aupro": None if None in aupros else round(sum(aupros) / len(aupros), 4),
        **counts,
        "alpha": run["config"]["calibration"]["alpha"],
        "fit_seconds": round(sum(part["timing"]["fit_seconds"] for part in parts) / len(parts), 2),
        "image_ms": run["latency_ms_median"],
        "peak_mb": run["peak_mb"],
    }


def _sentence(numbers: dict[str, Any]) -> str:
    overkill, escape = ("/".join(map(str, numbers[name])) for name in ("overkill", "escape"))
    needed = f"fit {numbers['fit_seconds']:.1f} s, {numbers['image_ms']:.0f} ms an image, {numbers['peak_mb']} MB"
    return (
        f"image AUROC {numbers['image_auroc']:.3f}, overkill {overkill} at alpha {numbers['alpha']:g}, "
        f"escape {escape}; {needed}"
    )


def _page(runs: dict[Path, dict[str, Any]]) -> str:
    confidences = {part["metrics"]["image_auroc"]["confidence"] for run in runs.values() for part in run["categories"]}
    return HEAD.format(
        choice=_choice(),
        most=preset_facts(RECIPE, "few-shot").most_images,
        confidence=round(100 * confidences.pop()),
        conditions=_conditions(list(runs.values())),
        tables="\n\n".join(_table(name, runs) for name in DATASETS if any(r["dataset"] == name for r in runs.values())),
    )


def _choice() -> str:
    lines = []
    for spec in RECIPES:  # those of the workbench, whatever plugins are installed
        recipe = spec.name
        lines += [f"### `{recipe}`", "", "| preset | for | sets | threshold |", "| --- | --- | --- | --- |"]
        for position, preset in enumerate(recipe_presets(recipe)):
            defaults = preset_defaults(recipe, preset)
            name = f"`{preset}`" + (" (the default)" if position == 0 else "")
            threshold = calibration_words(defaults["calibration"]) if "calibration" in defaults else "as by default"
            lines.append(f"| {name} | {preset_facts(recipe, preset).summary} | {_settings(defaults)} | {threshold} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _settings(defaults: dict[str, Any]) -> str:
    model = defaults.get("model", {})
    parts = [f"`{model['name']}`"] if model else []
    parts += [
        f"{key} {value}" for key, value in {**model.get("params", {}), **defaults.get("recipe_params", {})}.items()
    ]
    return ", ".join(parts)


def _conditions(runs: list[dict[str, Any]]) -> str:
    machines = sorted({f"{run['machine']['cpu']}, {run['threads']} threads" for run in runs})
    python = sorted({run["machine"]["python"] for run in runs})
    versions = sorted({f"{name} {version}" for run in runs for name, version in run["versions"].items()})
    busy = max(run["other_cores"] for run in runs)
    return "\n".join(
        [
            f"- Machine: {'; '.join(machines)}; up to {busy:.2f} cores had other work, so times are upper bounds.",
            f"- Python {', '.join(python)}; {', '.join(versions)}.",
        ]
    )


def _table(dataset: str, runs: dict[Path, dict[str, Any]]) -> str:
    rows = [
        f"### {dataset}",
        "",
        f"{DATASETS[dataset]}.",
        "",
        "| preset | seed | image AUROC | AUPRO | overkill | escape | alpha | fit | image | memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = {name: position for position, name in enumerate(recipe_presets(RECIPE))}
    chosen = [run for run in runs.values() if run["dataset"] == dataset]
    for run in sorted(chosen, key=lambda run: (order[run["preset"]], run["seed"])):
        numbers = _numbers(run)
        aupro = numbers["pixel_aupro"]
        cells = [
            f"`{run['preset']}`",
            str(run["seed"]),
            _auroc(run, numbers),
            "–" if aupro is None else f"{aupro:.3f}",
            *("/".join(map(str, numbers[name])) for name in ("overkill", "escape")),
            f"{numbers['alpha']:g}",
            f"{numbers['fit_seconds']:.1f} s",
            f"{numbers['image_ms']:.0f} ms",
            f"{numbers['peak_mb']} MB",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _auroc(run: dict[str, Any], numbers: dict[str, Any]) -> str:
    metric = run["categories"][0]["metrics"]["image_auroc"]
    interval = metric.get("interval") if len(run["categories"]) == 1 else None
    value = f"{numbers['image_auroc']:.3f}"
    return f"{value} ({interval[0]:.3f}–{interval[1]:.3f})" if interval else value


if __name__ == "__main__":
    sys.exit(main())
