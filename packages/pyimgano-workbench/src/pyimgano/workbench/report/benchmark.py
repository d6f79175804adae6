"""``report.html`` of a benchmark: its table, as charts, and the way to every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyimgano.workbench.report.page import REPORT_HTML, write_page

__all__ = ["write_benchmark_report"]


def write_benchmark_report(
    folder: Path, rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> Path:
    """Write the page of a benchmark into its folder.

    Parameters
    ----------
    folder : Path
        The benchmark's; its runs lie in ``runs``, and those that have a page are linked, relatively.
    rows, summary : sequence of mapping
        Of :class:`pyimgano.workbench.bench.Leaderboard`.

    Raises
    ------
    StorageError
        When the page cannot be written.
    """
    path = folder / REPORT_HTML
    pages = [f"runs/{row['run']}/{REPORT_HTML}" if row.get("run") else None for row in rows]
    linked = [page if page is not None and (folder / page).is_file() else None for page in pages]
    table = [{**row, "page": page} for row, page in zip(rows, linked)]
    block = {"name": folder.resolve().name, "rows": table, "summary": list(summary)}
    write_page(path, title=f"Benchmark {block['name']}", scripts=("benchmark.js",), blocks=[("benchmark", block)])
    return path
