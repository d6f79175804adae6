"""The page of a benchmark in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional
from urllib.parse import unquote

from pyimgano.workbench.report import write_benchmark_report

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_benchmarks_page_shows_its_table_and_leads_to_the_runs(visit: Callable[..., Page], tmp_path: Path) -> None:
    def spread(mean: Optional[float], sd: Optional[float] = 0.01) -> dict[str, Any]:
        return {"mean": mean, "sd": sd, "n": 2}

    (tmp_path / "runs" / "a run").mkdir(parents=True)
    (tmp_path / "runs" / "a run" / "report.html").write_text("<title>the run</title>", encoding="utf-8")
    rows = [
        {"model": "one", "category": category, "seed": 0, "status": "ok", "image_auroc": auroc, "run": "a run"}
        for category, auroc in (("left", 0.9), ("right", 0.7))
    ]
    rows.append({"model": "two", "category": "left", "seed": 0, "status": "error", "error": "RuntimeError: no luck"})
    summary = [
        {
            "model": "one",
            "category": category,
            "n_seeds": 1,
            "n_failed": 0,
            "image_auroc": spread(auroc, None),
            "latency_ms": spread(12.0),
        }
        for category, auroc in (("left", 0.9), ("right", 0.7), (None, 0.8))
    ]
    summary.append({"model": "two", "category": None, "n_seeds": 0, "n_failed": 1, "image_auroc": spread(None, None)})
    page = visit(write_benchmark_report(tmp_path, rows, summary))
    board = page.get_by_role("region", name="leaderboard")
    assert board.locator("tbody tr:not(.spacer)").first.inner_text().split()[:3] == ["one", "1", "0.800"]
    assert "RuntimeError: no luck" in page.locator(".errors").inner_text()
    link = page.get_by_role("region", name="runs").get_by_role("link").first
    assert link.get_attribute("href") == "runs/a%20run/report.html"
    assert (tmp_path / unquote(link.get_attribute("href") or "")).is_file()
    assert page.get_by_role("img", name="image AUROC, mean").locator("rect.bar").count() == 1
    page.get_by_role("button", name="overkill %").first.click()
    assert board.locator("th[aria-sort=descending]").all_inner_texts() == ["overkill %"]
