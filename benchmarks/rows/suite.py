"""A suite of classical detectors beside one extraction of the features and the detectors alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options, Outcome, Row
from benchmarks.suite_ours import DETECTORS

GOAL = 1.1


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
    threads = options.threads
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-suite-") as folder:
        cells = run_child("benchmarks.suite_ours", "write", {"folder": f"{folder}/cells", "seed": 0}, threads=threads)
        common = {"dataset": cells["dataset"], "seed": options.seed}
        count = iter(range(1000))

        def suite() -> dict[str, object]:
            own = Path(folder, f"round-{next(count)}")
            places = {"output": str(own / "bench"), "cache": str(own / "cache")}
            return run_child("benchmarks.suite_ours", "suite", {**common, **places}, threads=threads)

        answers = alternate(
            {
                "suite": suite,
                "alone": lambda: run_child("benchmarks.suite_ours", "alone", common, threads=threads),
            },
            1 if options.quick else options.rounds,
        )
    ours, alone = (median([answer["process_seconds"] for answer in answers[side]]) for side in ("suite", "alone"))
    row = Row(
        name=f"`benchmark` of {len(DETECTORS)} classical detectors",
        ours=f"{ours:.1f} s",
        other=f"{alone:.1f} s",
        ratio=f"{ours / alone:.2f}×",
        goal=f"≤ {GOAL}×",
        passed=None if options.quick else ours / alone <= GOAL,
        method=(
            "ELPV mono; the whole process: runs with records, intervals, pictures and pages, and a latency from files;"
            " beside it one extraction of the features of all images, and every detector's fit and scores from memory."
        ),
    )
    return Outcome([row], dict(answers))
