"""The greedy coreset alone, on the same features on both sides, and the check that it is exact."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options, Outcome, Row

SPEED_GOAL = 50.0
DENSE_GOAL = 3.0
FIRST = 0


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Rows for 1 % and, in a full run, for 10 %.
    """
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-coreset-") as folder:
        file = str(Path(folder, "features.npy"))
        shape = _child("peer_anomalib", "features", options, seed=options.seed, output=file, n_train=options.n_train)
        raw["shape"] = shape["shape"]
        for ratio in (0.01, 0.1) if options.full else (0.01,):
            answers = _one_ratio(file, ratio, options)
            rows += _rows(ratio, shape["shape"], answers, options)
            raw[f"{ratio:g}"] = _without_selections(answers)
    return Outcome(rows, raw)


def _child(module: str, task: str, options: Options, **arguments: Any) -> dict[str, Any]:
    """Run a task of one of the suite's modules with the run's threads."""
    arguments["threads"] = options.threads
    return run_child(f"benchmarks.{module}", task, arguments, threads=options.threads)


def _one_ratio(file: str, ratio: float, options: Options) -> dict[str, Any]:
    """Run both sides in turn, then the plain greedy from the same first point, and the dense product."""
    rounds = 1 if options.quick or ratio > 0.05 else options.rounds
    answers: dict[str, Any] = alternate(
        {
            "ours": lambda: _child("ours", "coreset", options, file=file, ratio=ratio, start=FIRST),
            "peer": lambda: _child("peer_anomalib", "coreset", options, file=file, ratio=ratio, seed=options.seed),
            "ours again": lambda: _child("ours", "coreset", options, file=file, ratio=ratio, start=FIRST),
            "dense": lambda: _child("bare", "dense_product", options, file=file, ratio=ratio),
        },
        rounds,
    )
    answers["ours"] += answers.pop("ours again")
    for precision in ("float64", "float32"):
        answers[precision] = _child(
            "bare", "plain_greedy", options, file=file, ratio=ratio, first=FIRST, precision=precision
        )
    return answers


def _without_selections(value: Any) -> Any:
    """Return the answers with a fingerprint in place of each selection, which has thousands of indices."""
    if isinstance(value, dict):
        return {
            key: hashlib.sha256(repr(v).encode()).hexdigest()[:16] if key == "selected" else _without_selections(v)
            for key, v in value.items()
        }
    return [_without_selections(v) for v in value] if isinstance(value, list) else value


def _equal_prefix(left: list[int], right: list[int]) -> int:
    """Return how many of the first entries are equal."""
    count = 0
    for one, other in zip(left, right):
        if one != other:
            break
        count += 1
    return count


def _rows(ratio: float, shape: list[int], answers: dict[str, Any], options: Options) -> list[Row]:
    """Return the rows for one ratio."""
    applies = not options.quick
    ours = median([a["seconds"] for a in answers["ours"]])
    peer = median([a["seconds"] for a in answers["peer"]])
    dense = median([a["seconds"] for a in answers["dense"]])
    selected = answers["ours"][0]["selected"]
    repeatable = all(a["selected"] == selected for a in answers["ours"])
    prefix = {name: _equal_prefix(selected, answers[name]["selected"]) for name in ("float64", "float32")}
    percent = f"{100 * ratio:g} %"
    speed = Row(
        name=f"Greedy coreset, {percent}",
        ours=f"{ours:.2f} s",
        other=f"{peer:.1f} s",
        ratio=f"{peer / ours:.1f}× faster",
        goal=f"≥ {SPEED_GOAL:.0f}×",
        passed=peer / ours >= SPEED_GOAL if applies else None,
        method=f"both: {len(selected):,} of the same {shape[0]:,} × {shape[1]} features, which the peer's own extractor"
        " computed. anomalib: `KCenterGreedy` as shipped, which first projects them to"
        f" {answers['peer'][0]['projected_dimension']} dimensions. pyimgano: exact, on the features themselves.",
    )
    exact = Row(
        name=f"Greedy coreset, {percent}: equal to a plain greedy's",
        ours=f"{prefix['float64']:,} of {len(selected):,} in order",
        other=f"plain greedy, float64 ({answers['float64']['seconds']:.0f} s)",
        ratio=f"{prefix['float64'] / len(selected):.0%}",
        goal="100 %",
        passed=prefix["float64"] == len(selected) == len(answers["float64"]["selected"]) and repeatable,
        method="compared index by index with a textbook greedy in this suite (`benchmarks/bare.py`), from the same"
        f" first point, direct differences; a plain greedy in float32 agrees in the first {prefix['float32']:,}."
        f" Repeats of pyimgano's selection {'are' if repeatable else 'are NOT'} equal.",
    )
    floor = Row(
        name=f"Greedy coreset, {percent}: beside the dense product",
        ours=f"{ours:.2f} s",
        other=f"{dense:.2f} s",
        ratio=f"{ours / dense:.1f}×",
        goal=f"≤ {DENSE_GOAL:.0f}×" if ratio > 0.05 else "",
        passed=ours / dense <= DENSE_GOAL if applies and ratio > 0.05 else None,
        method="beside it: numpy's product of all features with as many rows as are chosen, in tiles, nothing kept.",
    )
    return [speed, exact, floor]
