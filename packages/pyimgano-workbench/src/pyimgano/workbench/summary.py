"""What a run found, in a few lines for people; every number with what it was counted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyimgano.workbench.runs import RunDirectory

__all__ = ["format_metric", "run_summary"]

_NAMES = {
    "image_auroc": "image AUROC",
    "image_ap": "AP",
    "image_f1max": "F1max",
    "f1": "F1",
    "review_good": "good to review",
    "review_defective": "defective to review",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "AP",
    "pixel_f1max": "F1max",
    "pixel_aupro": "AUPRO",
    "pixel_segf1": "SegF1",
    "pixel_region_recall": "regions found",
    "pixel_false_regions_per_good_image": "false regions per good image",
}


_RATED = {
    "image_recall_at_fpr_": ("recall", " at FPR "),
    "image_fpr_at_recall_": ("FPR", " at recall "),
    "pixel_aupro_": ("AUPRO", " to FPR "),
    "pixel_au_spro_": ("AU-sPRO", " to FPR "),
}
"""Of names that end in a rate: what stands before the value, and what between it and the rate."""
_COUNTED = ("pixel_segf1", "pixel_region_recall", "pixel_false_regions_per_good_image")
"""What the calibrated pixel threshold does."""


def format_metric(name: str, metric: Mapping[str, Any], *, interval: bool = True) -> str:
    """Return e.g. ``image AUROC 0.953 (95 %: 0.911–0.976)`` or ``overkill 2/100 = 2.0 % (95 %: 0.2–7.0 %)``.

    Parameters
    ----------
    name : str
        The metric's.
    metric : mapping
        As it stands in a report.
    interval : bool
        False leaves out the interval and the counts.
    """
    value, n = metric["value"], metric["n"]
    label, rate = _label(name)
    if value is None:
        return f"{label} –{rate}"
    if not interval or metric.get("interval") is None:
        limit = f" to FPR {metric['limit']:g}" if "limit" in metric and not rate else ""
        return f"{label} {value:.3f}{rate}{limit}"
    low, high = metric["interval"]
    sure = f"{100.0 * metric['confidence']:.0f} %"
    if "count" not in metric:
        return f"{label} {value:.3f}{rate} ({sure}: {low:.3f}–{high:.3f})"
    total = next(iter(n.values()))
    share = f"{metric['count']}/{total} = {100.0 * value:.1f} %"
    return f"{label} {share}{rate} ({sure}: {100.0 * low:.1f}–{100.0 * high:.1f} %)"


def _label(name: str) -> tuple[str, str]:
    for prefix, (label, between) in _RATED.items():
        if name.startswith(prefix):
            return label, between + name[len(prefix) :]
    return _NAMES.get(name, name), ""


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


def _finetune_lines(finetune: Mapping[str, Any]) -> list[str]:
    best, start, auroc = finetune["best"], finetune["start"], finetune["differences"]["image_auroc"]
    kept = f"AUROC {best['auroc']:.3f} on synthetic defects, {start['auroc']:.3f} before"
    lines = [
        f"  trained ({finetune['mode']}) for {finetune['steps']} steps; ended: {finetune['ended']}",
        f"  kept the state of step {finetune['kept']}; the best, of step {best['step']}: {kept}",
    ]
    if auroc["difference"] is not None:
        sure = ""
        if auroc["interval"] is not None:
            sure = f" (95 %: {auroc['interval'][0]:+.3f} … {auroc['interval'][1]:+.3f})"
        lines.append(
            f"  training: {finetune['verdict']}: image AUROC {auroc['a']:.3f} before, {auroc['b']:.3f} after, "
            f"{auroc['difference']:+.3f}{sure}"
        )
    return lines + [f"  {note}" for note in finetune["notes"]]


def _adapt_line(adapt: Mapping[str, Any]) -> str:
    names = ", ".join(drift["name"] for drift in adapt["drifts"])
    copies = f"; fitted on {adapt['copies']} drifted copies of each image, too" if adapt["copies"] else ""
    return f"  drifts while it learned: {names}{copies}"


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
    if "adapt" in report:
        lines.append(_adapt_line(report["adapt"]))
    if "finetune" in report:
        lines += _finetune_lines(report["finetune"])
    groups = [
        ("image_auroc", "image_ap", "image_f1max"),
        ("overkill",),
        ("escape",),
        ("review_good", "review_defective"),
    ]
    for names in groups:
        if names[0] in metrics:
            lines.append(_joined(names, metrics))
    rates = [name for name in metrics if name == "f1" or name.startswith("image_recall_at_fpr_")]
    if rates:
        lines.append(_joined(sorted(rates), metrics, intervals=False))
    pixel = [name for name in metrics if name.startswith("pixel_")]
    areas = [name for name in pixel if name not in _COUNTED]
    if any(metrics[name]["value"] is not None for name in areas):
        n = metrics["pixel_auroc"]["n"]
        lines.append(f"{_joined(areas, metrics)}   (n = {n['regions']} regions in {n['images']} images)")
    if "regions" in report:
        lines.append(_rules_line(report["regions"]))
    counted = [name for name in _COUNTED if name in pixel and metrics[name]["value"] is not None]
    if counted:
        lines.append(_joined(counted, metrics))
    return lines


def _rules_line(regions: Mapping[str, Any]) -> str:
    def counts(by_rule: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {number}" for name, number in by_rule.items()) or "none"

    text = f"  rules on regions: {regions['kept']} regions count; removed: {counts(regions['removed'])}"
    if regions["overruled"] is None:
        return text
    return f"{text}; regions decide, images let pass: {counts(regions['overruled'])}"


def _joined(names: Sequence[str], metrics: Mapping[str, Any], *, intervals: bool = True) -> str:
    if all(metrics[name]["value"] is None for name in names):
        labels = ", ".join(label + rate for label, rate in map(_label, names))
        return f"  {labels}: not defined ({metrics[names[0]]['reason']})"
    return "  " + "   ".join(format_metric(name, metrics[name], interval=intervals) for name in names)


def _mean_lines(means: Mapping[str, Any]) -> list[str]:
    parts = []
    for name in ("image_auroc", "pixel_auroc", "pixel_aupro", "overkill", "escape"):
        mean = means.get(name)
        if mean is not None and mean["value"] is not None:
            some = f" of {mean['of']}" if mean["n_categories"] < mean["of"] else ""
            parts.append(f"{_label(name)[0]} {mean['value']:.3f} (n = {mean['n_categories']}{some} categories)")
    return ["mean: " + "   ".join(parts)] if parts else []
