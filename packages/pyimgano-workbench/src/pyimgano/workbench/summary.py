"""What a run found, in a few lines for people; every number with what it was counted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyimgano.workbench.runs import RunDirectory

__all__ = ["format_metric", "run_summary"]

_NAMES = {
    "image_auroc": "image AUROC",
    "image_ap": "AP",
    "image_f1max": "F1max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "AP",
    "pixel_f1max": "F1max",
    "pixel_aupro": "AUPRO",
}


def format_metric(name: str, metric: Mapping[str, Any]) -> str:
    """Return e.g. ``image AUROC 0.953`` or ``overkill 2/100 = 2.0 % (95 %: 0.2–7.0 %)``."""
    value, n = metric["value"], metric["n"]
    label = _NAMES.get(name, name)
    if value is None:
        return f"{label} –"
    if "count" in metric and "interval" in metric:
        low, high = (100.0 * end for end in metric["interval"])
        total = next(iter(n.values()))
        return (
            f"{label} {metric['count']}/{total} = {100.0 * value:.1f} % "
            f"({100.0 * metric['confidence']:.0f} %: {low:.1f}–{high:.1f} %)"
        )
    return f"{label} {value:.3f}" + (f" (to FPR {metric['limit']:g})" if "limit" in metric else "")


def run_summary(run: RunDirectory) -> list[str]:
    """Return the lines that end a run: per category what was measured, then the means, errors and warnings.

    A stranger's recipe may report other things; what it shares with ours is shown.
    """
    report = run.report()
    preset = f", preset {report['preset']}" if report.get("preset") else ""
    lines = [
        f"{report.get('model')} on {report.get('dataset')} ({report.get('recipe')}{preset}, seed {report.get('seed')})"
    ]
    categories = [folder for folder in run.categories() if folder.complete]
    for folder in categories:
        lines += _category_lines(folder.report())
    if len(categories) > 1:
        lines += _mean_lines(report.get("means", {}))
    for warning in report.get("warnings", ()):
        lines.append(f"warning: {warning}")
    if report.get("skipped"):
        lines.append(f"{report['skipped']} unreadable training images were left out; the category's report lists them")
    errors = report.get("errors")
    if errors and errors["n"]:
        verdict = "tolerated" if errors["tolerated"] else f"more than max_errors = {errors['max_errors']}"
        lines.append(f"{errors['n']} of {report['n_test']} test images have no score ({verdict}); see per_image.jsonl")
    return lines


def _category_lines(report: Mapping[str, Any]) -> list[str]:
    data, card, metrics = report["data"], report["calibration"], report["metrics"]
    unlabelled = f" + {data['n_test_unlabelled']} unlabelled" if data["n_test_unlabelled"] else ""
    lines = [
        (
            f"{report['category']}: fitted on {data['n_fit']} good images, tested on {data['n_test_good']} good + "
            f"{data['n_test_defective']} defective{unlabelled}"
        ),
        (
            f"  threshold {card['threshold']:.6g} from n = {card['n']} "
            f"{'out-of-fold' if card['source'] == 'cross' else 'held-out'} good images ({card['method']}, "
            f"alpha = {card['alpha']:g})"
        ),
    ]
    for names in (("image_auroc", "image_ap", "image_f1max"), ("overkill",), ("escape",)):
        lines.append(_joined(names, metrics))
    pixel = [name for name in metrics if name.startswith("pixel_")]
    if any(metrics[name]["value"] is not None for name in pixel):
        n = metrics[pixel[0]]["n"]
        lines.append(f"{_joined(pixel, metrics)}   (n = {n['regions']} regions in {n['images']} images)")
    return lines


def _joined(names: Any, metrics: Mapping[str, Any]) -> str:
    undefined = [name for name in names if metrics[name]["value"] is None]
    if len(undefined) == len(list(names)):
        first = metrics[names[0]]
        return f"  {', '.join(_NAMES.get(name, name) for name in names)}: not defined ({first['reason']})"
    return "  " + "   ".join(format_metric(name, metrics[name]) for name in names)


def _mean_lines(means: Mapping[str, Any]) -> list[str]:
    parts = []
    for name in ("image_auroc", "pixel_auroc", "pixel_aupro", "overkill", "escape"):
        mean = means.get(name)
        if mean is not None and mean["value"] is not None:
            some = f" of {mean['of']}" if mean["n_categories"] < mean["of"] else ""
            parts.append(f"{_NAMES.get(name, name)} {mean['value']:.3f} (n = {mean['n_categories']}{some} categories)")
    return ["mean: " + "   ".join(parts)] if parts else []
