"""The comparison says what the benchmarks have measured, goals that were missed among it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_page_is_what_the_kept_benchmarks_give(root: Path) -> None:
    tool = [sys.executable, str(root / "tools" / "write_comparison_page.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_row_beside_anomalib_is_left_out_because_its_goal_was_missed(root: Path) -> None:
    page = (root / "docs" / "comparison.md").read_text(encoding="utf-8")
    rows = [
        row
        for name in ("RESULTS", "METRICS")
        for group in json.loads((root / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))["groups"].values()
        for row in group["rows"]
        if row["passed"] is False and "anomalib: " in row["method"]
    ]
    assert rows
    for row in rows:
        line = next(line for line in page.splitlines() if line.startswith(f"| {row['name']} |"))
        assert line.endswith("| **missed** |")
