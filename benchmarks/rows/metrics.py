"""Metrics of pixels and of images: on the same maps, masks and scores in memory."""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options, Outcome, Row

SMALL = {"images": 200, "size": 256}
LARGE = {"images": 1000, "size": 512}
QUICK = {"images": 20, "size": 128}
ANOMALIB_GOAL, ANOMALIB_MB = 40.0, 100.0
ADEVAL_GOAL, ADEVAL_MB = 2.0, 256.0
SCORES = 10_000_000
SORT_GOAL = 1.5


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Rows for both peers, for the memory beside each, and for image metrics.
    """
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    for peer, data, goal, memory in (
        ("anomalib", SMALL, ANOMALIB_GOAL, ANOMALIB_MB),
        ("adeval", LARGE, ADEVAL_GOAL, ADEVAL_MB),
    ):
        found, made = _pixels(peer, QUICK if options.quick else data, options)
        raw[peer] = {"data": made, **found}
        rows += _pixel_rows(peer, made["pixels"], found, goal, memory, options)
    raw["images"] = _images(options)
    rows.append(_image_row(raw["images"], options))
    return Outcome(rows, raw)


def _child(module: str, task: str, options: Options, **arguments: Any) -> dict[str, Any]:
    """Run a task of one of the suite's modules with the run's threads."""
    return run_child(f"benchmarks.{module}", task, {**arguments, "threads": options.threads}, threads=options.threads)


def _pixels(peer: str, data: dict[str, int], options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run both sides in turn on maps that are made for the purpose, once per round, the project's twice."""
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-metrics-") as folder:
        made = run_child(
            "benchmarks.maps", "make", {"folder": folder, **data, "seed": options.seed}, threads=options.threads
        )
        found = alternate(
            {
                "ours": lambda: _child("ours", "pixel_metrics", options, folder=folder),
                "peer": lambda: _child(f"peer_{peer}", "pixel_metrics", options, folder=folder),
                "ours again": lambda: _child("ours", "pixel_metrics", options, folder=folder),
                "binned": lambda: _child("ours", "pixel_metrics", options, folder=folder, mode="binned"),
            },
            1 if options.quick else options.rounds,
        )
    found["ours"] += found.pop("ours again")
    return found, made


def _pixel_rows(
    peer: str, pixels: int, found: dict[str, Any], goal: float, memory: float, options: Options
) -> list[Row]:
    """Return the rows for one peer."""
    applies = not options.quick
    ours, other = (median([answer["seconds"] for answer in found[side]]) for side in ("ours", "peer"))
    extra, beside = (max(answer["extra_mb"] or 0.0 for answer in found[side]) for side in ("ours", "peer"))
    binned = median([answer["seconds"] for answer in found["binned"]])
    first, theirs, histogram = (found[side][0]["values"] for side in ("ours", "peer", "binned"))
    apart = max(abs(first[name] - value) for name, value in theirs.items())
    errors = found["binned"][0]["errors"]
    off = {name: abs(first[name] - value) for name, value in histogram.items()}
    what = {
        "anomalib": "its AUROC, AUPR, F1Max and AUPRO, updated by batches of 32 and computed one after the other",
        "adeval": "`auroc_aupr_aupro` (three metrics) with its 1,000 bins",
    }[peer]
    known = all(answer["extra_mb"] is not None for answer in found["ours"])
    return [
        Row(
            name=f"Pixel metrics, {pixels / 1e6:.0f} M pixels, beside {peer}",
            ours=f"{ours:.2f} s",
            other=f"{other:.2f} s",
            ratio=f"{other / ours:.1f}× faster",
            goal=f"≥ {goal:g}×",
            passed=other / ours >= goal if applies else None,
            method=f"{peer}: {what}. pyimgano: `pixel_metrics`, exact: AUROC, AP, F1max, AUPRO up to 0.3 and 0.05, and"
            f" the curves, in one call. Largest difference between the two: {apart:.1e}.",
        ),
        Row(
            name=f"Pixel metrics, {pixels / 1e6:.0f} M pixels: memory",
            ours=f"{extra:.0f} MB",
            other=f"{beside:.0f} MB ({peer})",
            ratio=f"{beside / extra:.1f}× less" if extra else "–",
            goal=f"≤ {memory:g} MB",
            passed=extra <= memory if applies and known else None,
            method="the process's peak minus what it held with the maps and masks loaded; the largest of all rounds.",
        ),
        Row(
            name=f"Pixel metrics, {pixels / 1e6:.0f} M pixels: binned",
            ours=f"{binned:.2f} s",
            other=f"{other:.2f} s ({peer})",
            ratio=f"{other / binned:.1f}× faster",
            goal="difference ≤ error",
            passed=all(off[name] <= errors[name] for name in off),
            method="`mode='binned'`, each metric beside the exact one: largest error that it admits"
            f" {max(errors.values()):.1e}, largest difference {max(off.values()):.1e}.",
        ),
    ]


def _images(options: Options) -> dict[str, Any]:
    """Run the image metrics and a bare sort of the same scores in turn."""
    count = 100_000 if options.quick else SCORES
    found = alternate(
        {
            "ours": lambda: _child("ours", "image_metrics", options, count=count, seed=options.seed),
            "sort": lambda: _child("bare", "sort_scores", options, count=count, seed=options.seed),
        },
        1 if options.quick else options.rounds,
    )
    return {"count": count, **found}


def _image_row(found: dict[str, Any], options: Options) -> Row:
    """Return the row of the image metrics."""
    ours, sort = (median([answer["seconds"] for answer in found[side]]) for side in ("ours", "sort"))
    return Row(
        name=f"Image metrics of {found['count'] / 1e6:g} M scores, beside one sort",
        ours=f"{ours:.2f} s",
        other=f"{sort:.2f} s",
        ratio=f"{ours / sort:.2f}×",
        goal=f"≤ {SORT_GOAL:g}×",
        passed=ours / sort <= SORT_GOAL if not options.quick else None,
        method="pyimgano: `image_metrics` of 64-bit scores, half of them defective: AUROC with its interval, AP, F1max,"
        " recall and false-positive rate at two limits each. Beside it: one `numpy.sort` of the same scores.",
    )
