"""``MODEL_CARD.md``: what a bundle's model is, was made of and is worth, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.workbench.bundle.manifest import GRAPH
from pyimgano.workbench.bundle.names import MODEL_CARD
from pyimgano.workbench.bundle.parity import CategoryParity
from pyimgano.workbench.bundle.parity_report import what_holds
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.runs.directory import RunDirectory

__all__ = ["write_model_card"]

SHOWN = ("image_auroc", "image_ap", "overkill", "escape", "recall", "pixel_auroc", "pixel_aupro")
"""Metrics of the test images, where a run has them."""

INTRODUCTION = """\
A fitted anomaly detector: it was shown good images only, says of a new image how unlike these it is, and compares
that with a threshold."""

LIMITS = """\
It knows good images of the kind that it was shown: the same part, camera, lens and light. An image of anything else
gets a score, too, and most likely a high one. It does not know what a defect is, and misses those that look like good
images. The threshold is worth what the calibration says as long as good images stay as they were; check that on images
of the line, and go on checking."""


def write_model_card(
    bundle: Path,
    run: RunDirectory,
    kind: str,
    graph_runtime: str,
    precision: str,
    parity: Sequence[CategoryParity],
    cards: Mapping[str, CalibrationCard],
) -> None:
    """Write the model card of a bundle."""
    config, report = run.infer_config(), run.report()
    lines = [
        f"# {_plain(config['model'])} on {_plain(report.get('dataset', 'a dataset'))}",
        "",
        INTRODUCTION,
        "",
        "| | |",
        "| --- | --- |",
        f"| model | `{_plain(config['model'])}` `{_plain(dumps_json(config['params']))}` |",
        f"| source run | `{_plain(run.name)}`, finished {_plain(report.get('finished', 'at an unknown time'))} |",
        f"| recipe, seed | {_plain(report.get('recipe', '-'))}, {_plain(report.get('seed', '-'))} |",
        f"| runs as | {_runtime(kind, graph_runtime, precision)} |",
        "",
    ]
    tested = {entry["name"]: entry for entry in report.get("categories", ())}
    for compared in parity:
        lines += _category(compared, cards[compared.category], tested.get(compared.category, {}), precision)
    lines += [
        "## What it is not",
        "",
        LIMITS,
        "",
        "`pyimgano bundle validate` says whether this copy is whole and gives what it gave when it was made.",
    ]
    with atomic_open(bundle / MODEL_CARD) as stream:
        stream.write("\n".join(lines) + "\n")


def _category(compared: CategoryParity, card: CalibrationCard, tested: Mapping[str, Any], precision: str) -> list[str]:
    rows = [
        ("images: fitted on, calibrated on, tested on", " / ".join(_count(tested, f"n_{part}") for part in _PARTS)),
        ("test images: good, defective", f"{_count(tested, 'n_test_good')} / {_count(tested, 'n_test_defective')}"),
        ("threshold", f"{card.threshold:.9g} ({card.method}, alpha {card.alpha:g}, {card.n} good images)"),
    ]
    if card.review_threshold is not None:
        rows.append(("review from", f"{card.review_threshold:.9g}"))
    if card.pixel_threshold is not None:
        rows.append(("pixel threshold", f"{card.pixel_threshold:.9g}"))
    metrics = tested.get("metrics", {})
    for name in SHOWN:
        value = metrics.get(name, {}).get("value") if isinstance(metrics.get(name), dict) else None
        if value is not None:
            rows.append((name, f"{value:.4f}"))
    return [
        f"## {_plain(compared.category)}",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        _plain(card.guarantee),
        "",
        f"Compared with the trained detector on {len(compared.images)} images ({compared.source}): "
        + what_holds(compared, card, precision),
        "",
    ]


_PARTS = ("fit", "calibration", "test")


def _count(tested: Mapping[str, Any], key: str) -> str:
    return str(tested.get(key, "-"))


def _runtime(kind: str, graph_runtime: str, precision: str) -> str:
    if kind == GRAPH:
        return f"an ONNX graph for each category, {precision}; needs {graph_runtime}, not torch"
    return "the model's own code, on the state that it saved; see `requires` in `manifest.json`"


def _plain(text: Any) -> str:
    """Return text that breaks no table and no line."""
    return " ".join(str(text).replace("|", "\\|").replace("`", "'").split())
