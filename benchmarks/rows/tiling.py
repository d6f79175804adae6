"""One image of 8192 × 8192 pixels in tiles: memory, and speed beside the same model on single tiles."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import median, run_child
from benchmarks.results import Options, Outcome, Row

MEMORY_GOAL = 350.0
SPEED_GOAL = 0.9


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        A row for memory and one for speed.
    """
    side = 2048 if options.quick else 8192
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-tiling-") as place:
        path = str(Path(place) / "large.png")
        run_child("benchmarks.tiling_ours", "write", {"side": side, "path": path}, threads=options.threads)
        given = {"side": side, "path": path, "threads": options.threads}
        rounds = 1 if options.quick else options.rounds
        answers = [run_child("benchmarks.tiling_ours", "score", given, threads=options.threads) for _ in range(rounds)]
    extra, image = median([a["extra_mb"] for a in answers]), answers[0]["image_mb"]
    tiled, whole = (median([a[key] for a in answers]) / 1e6 for key in ("tiled_pixels", "whole_pixels"))
    ratio = tiled / whole
    rows = [
        Row(
            name=f"PatchCore in tiles: {side} × {side}",
            ours=f"{extra:.0f} MB",
            other=f"{image:.0f} MB (the image)",
            ratio=f"image + {extra - image:.0f} MB",
            goal=f"≤ image + {MEMORY_GOAL:.0f} MB",
            passed=None if options.quick else extra <= image + MEMORY_GOAL,
            method=f"peak memory of decoding and scoring one PNG in {answers[0]['tiles']} tiles of 512, whose maps have"
            " 224 values, beyond that of the process with the model loaded and used.",
        ),
        Row(
            name="PatchCore in tiles: speed",
            ours=f"{tiled:.2f} Mpx/s",
            other=f"{whole:.2f} Mpx/s (untiled)",
            ratio=f"{ratio:.2f}×",
            goal=f"≥ {SPEED_GOAL:g}×",
            passed=None if options.quick else ratio >= SPEED_GOAL,
            method="pixels that the model was given per second, from files: the large image, against images of"
            " 512 × 512 without tiling, after it in the same process.",
        ),
    ]
    return Outcome(rows, {"rounds": answers})
