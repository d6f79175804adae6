"""A comparison as lines of text, for people in front of a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from pyimgano.workbench.compare.comparison import HEADLINES, CategoryComparison, Comparison
from pyimgano.workbench.compare.difference import Difference
from pyimgano.workbench.compare.flips import CHANGES, Flip

__all__ = [
    "METRIC_COLUMNS",
    "defect_rows",
    "flip_rows",
    "headline_lines",
    "metric_rows",
    "reason_lines",
    "short",
    "tail_lines",
]

METRIC_COLUMNS = ("metric", "A", "B", "B - A", "95 % interval", "p", "B is")
_HIDDEN = ("recall",)
"""Says the same as escape where there is no review band."""


def short(value: Optional[float], *, sign: bool = False) -> str:
    """Return a value with four digits behind the point, or a dash."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:+.4f}" if sign else f"{value:.4f}"


def headline_lines(comparison: Comparison) -> list[str]:
    """Return who A and B are, how many images they were compared on, and the verdicts."""
    lines = []
    for side, run in (("A", comparison.a), ("B", comparison.b)):
        report = run.report
        preset = f", preset {report['preset']}" if report.get("preset") else ""
        lines.append(f"{side}: {run.name}  ({report.get('model')}{preset}, seed {report.get('seed')})")
    parts = comparison.matching.categories
    labels = [a.label for part in parts for a, _ in part.pairs]
    several = f" in {len(parts)} categories" if len(parts) > 1 else ""
    same = "the same" if comparison.matching.same else "the common"
    lines.append(
        f"compared on {same} {len(labels)} test images{several}: {labels.count(0)} good, {labels.count(1)} defective"
    )
    lines += [f"note: {note}" for note in comparison.notes]
    lines.append("")
    lines += [f"  {comparison.verdict(name)}" for name in HEADLINES if name in comparison.metrics]
    return lines


def metric_rows(metrics: Mapping[str, Difference]) -> list[tuple[str, ...]]:
    """Return the cells of a table with :data:`METRIC_COLUMNS`; metrics that neither run has are left out."""
    rows: list[tuple[str, ...]] = []
    for name, found in metrics.items():
        if (found.a is None and found.b is None) or (name in _HIDDEN and _says_what_escape_says(metrics)):
            continue
        interval = "-" if found.interval is None else " … ".join(short(end, sign=True) for end in found.interval)
        p = "-" if found.p is None else f"{found.p:.2g}"
        verdict = {"not shown": "not shown to differ"}.get(found.verdict, found.verdict)
        rows.append((name, short(found.a), short(found.b), short(found.difference, sign=True), interval, p, verdict))
    return rows


def reason_lines(metrics: Mapping[str, Difference]) -> list[str]:
    """Return why metrics of the table have no difference or no interval, each reason once."""
    reasons: dict[str, list[str]] = {}
    for name, found in metrics.items():
        if found.reason is not None and not (found.a is None and found.b is None):
            reasons.setdefault(found.reason, []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _says_what_escape_says(metrics: Mapping[str, Difference]) -> bool:
    return "escape" in metrics and "review_defective" not in metrics


def category_rows(parts: Sequence[CategoryComparison]) -> list[tuple[str, ...]]:
    """Return category, metric, A, B, difference, interval, verdict of the headline metrics in each category."""
    rows: list[tuple[str, ...]] = []
    for part in parts:
        for name in HEADLINES:
            if name in part.metrics:
                cells = metric_rows({name: part.metrics[name]})
                rows += [(part.name, *row) for row in cells]
    return rows


def defect_rows(parts: Sequence[CategoryComparison]) -> list[tuple[str, ...]]:
    """Return the cells of the table of defects: recall at the calibrated threshold, AUROC against all good images."""
    rows: list[tuple[str, ...]] = []
    for part in parts:
        for defect, one in part.by_defect.items():
            auroc: Any = one.get("image_auroc")
            cells = []
            for found in (one["recall"], auroc):
                known = found is not None
                cells += [short(found.a if known else None), short(found.b if known else None)]
                cells.append(short(found.difference if known else None, sign=True))
            rows.append((part.name, defect, str(one["n"]), *cells))
    return rows


DEFECT_COLUMNS = ("category", "defect", "n", "recall A", "B", "B - A", "AUROC A", "B", "B - A")
FLIP_COLUMNS = ("B is", "image", "truth", "A", "score / threshold", "B", "score / threshold")


def flip_rows(flips: Sequence[Flip], limit: int) -> list[tuple[str, ...]]:
    """Return the cells of the first flips, each score beside the threshold that it met."""
    return [
        (flip.change, flip.image, _truth(flip), flip.a["decision"], _ratio(flip.a), flip.b["decision"], _ratio(flip.b))
        for flip in flips[:limit]
    ]


def _truth(flip: Flip) -> str:
    if flip.label is None:
        return "unknown"
    return "good" if flip.label == 0 else flip.defect or "defective"


def _ratio(side: Mapping[str, Any]) -> str:
    return f"{side['score']:.6g} / {side['threshold']:.6g}" if side["threshold"] is not None else f"{side['score']:.6g}"


def flip_summary(flips: Sequence[Flip], limit: int) -> str:
    """Return how many decisions changed, and how."""
    counts = {change: sum(flip.change == change for flip in flips) for change in CHANGES}
    told = ", ".join(f"{count} {change}" for change, count in counts.items() if count)
    more = f"; the first {limit} (--flips N shows more)" if limit < len(flips) else ""
    return f"decisions that changed: {len(flips)}" + (f" ({told}){more}" if flips else "")


def tail_lines(comparison: Comparison) -> list[str]:
    """Return the differences of config and versions, and the images without a score."""
    data = comparison.to_json()
    lines = []
    for title, key in (("config", "config"), ("made with", "environment")):
        for name, (a, b) in data[key].items():
            lines.append(f"{title}: {name} {_value(a)} -> {_value(b)}")
    for error in data["errors"]:
        sides = ", ".join(f"{side.upper()}: {error[side]}" for side in ("a", "b") if error[side] is not None)
        lines.append(f"no score: {error['image']} ({sides})")
    return lines


def _value(value: Any) -> str:
    from pyimgano.core.files import dumps_json

    return "-" if value is None else value if isinstance(value, str) else dumps_json(value)
