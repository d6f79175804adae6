"""An epoch of a micro-finetune with drift augmentation beside one without."""

from __future__ import annotations

from benchmarks.measure import run_child
from benchmarks.results import Options, Outcome, Row

GOAL = 1.15


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        One row.
    """
    given = {"images": 16 if options.quick else 48, "rounds": 2 if options.quick else 6, "threads": options.threads}
    answer = run_child("benchmarks.augmentation_ours", "epochs", given, threads=options.threads)
    # Noise only adds: beside other work, the fastest epoch is the one that says something.
    plain, drifted = min(answer["plain"]), min(answer["drifted"])
    row = Row(
        name="Drift augmentation: an epoch of a micro-finetune",
        ours=f"{drifted:.2f} s",
        other=f"{plain:.2f} s (without)",
        ratio=f"{drifted / plain:.2f}×",
        goal=f"≤ {GOAL:g}×",
        passed=None if options.quick else drifted / plain <= GOAL,
        method=f"adapting PatchCore's backbone (Lite0, 224 px, batches of 8) to {given['images']} solar cells with"
        " the default drifts and without, epochs in turn in one process, the fastest of each without the first.",
    )
    return Outcome([row], {"epochs": answer})
