"""The schema of a benchmark's results."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import NUMBER_OR_NULL, TEXT, TEXT_OR_NULL, WHOLE, object_of, value, version

__all__ = ["leaderboard_schema"]


def leaderboard_schema(number: int) -> dict[str, Any]:
    """Return the schema of a benchmark's ``leaderboard.json``."""
    from pyimgano.workbench.bench.cell import METRICS
    from pyimgano.workbench.bench.leaderboard import COUNTS, TIMES

    count = value(["integer", "null"], minimum=0)
    row = object_of(
        {
            "model": TEXT,
            "category": TEXT,
            "seed": WHOLE,
            "status": value("string", enum=["ok", "error", "skipped"]),
            **dict.fromkeys(METRICS, NUMBER_OR_NULL),
            **dict.fromkeys(COUNTS, count),
            "unscored": {**count, "description": "Test images that could not be scored."},
            "threshold": NUMBER_OR_NULL,
            **dict.fromkeys(TIMES, NUMBER_OR_NULL),
            "run": value(["string", "null"], "Folder of the run, below `runs` of the benchmark."),
            "error": value(["string", "null"], "Why there is no result."),
        },
        description="One run; without a result everything from the first metric on is null.",
    )
    spread = object_of(
        {"mean": NUMBER_OR_NULL, "sd": value(["number", "null"], "Null for one seed."), "n": WHOLE},
        description="Over the seeds.",
    )
    summary = object_of(
        {
            "model": TEXT,
            "category": {**TEXT_OR_NULL, "description": "Null: the mean over the categories."},
            "n_seeds": WHOLE,
            "n_failed": WHOLE,
            **dict.fromkeys((*METRICS, *TIMES), spread),
            **dict.fromkeys(("n_test_good", "n_test_defective"), WHOLE),
        }
    )
    reason = {**TEXT, "description": "Why, and what to install."}
    skipped = object_of({"model": TEXT, "reason": reason})
    return object_of(
        {
            "schema_version": version(number),
            "rows": value("array", items=row),
            "summary": value("array", items=summary),
            "skipped": value("array", "Models of a suite that cannot run here.", items=skipped),
        }
    )
