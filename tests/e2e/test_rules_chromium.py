"""report.html of a run in which rules on regions decide: who decides, and which rule removed what. About 20 s."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.training import run_recipe

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    root = tmp_path_factory.mktemp("rules")
    write_textures(root / "textures", seed=0)
    common: dict[str, Any] = {
        "dataset.root": root / "textures",
        "dataset.categories": ["brick"],
        "model.name": "pixel-gaussian",
        "model.params": {"input_size": 64},
        "calibration.alpha": 0.25,
        "output.dir": root / "runs",
    }
    rules = {
        "postprocess.maps": [{"name": "smooth", "params": {"sigma": 2.0}}],
        "postprocess.roi": {"polygons": [[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]], "unit": "fraction"},
        "regions.min_area": 300,
        "regions.max_area": 6000,
        "regions.hysteresis": 0.7,
        "regions.decide": "regions",
    }
    return {
        name: run_recipe(load_run_config(flags={**common, "output.name": name, **more}))
        for name, more in (("plain", {}), ("rules", rules))
    }


def records_of(run: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.category("brick").per_image.read_text(encoding="utf-8").splitlines()]


def test_the_page_says_who_decides_and_counts_by_rule_what_was_removed(
    runs: dict[str, RunDirectory], visit: Callable[[Path], Page]
) -> None:
    run = runs["rules"]
    report, records = run.category("brick").report(), records_of(run)
    assert report["regions"]["removed"]
    page = visit(run.path / "report.html")
    note = page.locator("[data-note=regions-decide]")
    assert "regions decide" in note.inner_text()
    for rule, number in report["regions"]["removed"].items():
        assert page.locator(f"[data-removed={rule}]").get_attribute("data-number") == str(number)
    text = page.locator("body").inner_text()
    assert "outlined in grey" in text
    assert "min_area 300, max_area 6000, hysteresis 0.7" in text
    overruled = [record for record in records if "overruled_by" in record]
    assert overruled
    table = page.get_by_text(f"{overruled[0]['decision']} ({overruled[0]['overruled_by']})")
    assert table.count() >= 1
    overkill = page.locator("[data-metric=overkill]").get_attribute("data-number")
    good = [record for record in records if record["label"] == 0]
    rejected = [record for record in good if record["decision"] == "defective"]
    assert float(str(overkill)) == pytest.approx(len(rejected) / len(good))
    # The pictures below are of the run's own decisions, wherever the threshold stands.
    escapes = [record["image"] for record in records if record["label"] == 1 and record["decision"] == "good"]
    heading = page.get_by_role("heading", name=f"Escapes: {len(escapes)} of ")
    assert heading.count() == 1
    page.locator("[data-input=threshold]").fill("1e9")
    page.locator("[data-input=threshold]").press("Enter")
    page.wait_for_timeout(200)
    assert heading.count() == 1


def test_a_page_without_rules_says_nothing_of_them(
    runs: dict[str, RunDirectory], visit: Callable[[Path], Page]
) -> None:
    page = visit(runs["plain"].path / "report.html")
    page.get_by_role("heading", name="Calibration card").wait_for()
    assert page.locator("[data-note=regions-decide]").count() == 0
    assert page.get_by_role("heading", name="Rules").count() == 0
    assert page.locator("[data-removed]").count() == 0
