"""The page of `runs compare` in a real browser: both runs side by side, as Python compared them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
import pytest

from pyimgano.workbench.compare import Comparison, compare_runs, measured_run
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.evaluate import decision_metrics
from pyimgano.workbench.report import write_comparison_report
from pyimgano.workbench.training import run_recipe

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("compare")
    write_textures(root / "textures", seed=0)
    made = []
    for size in (16, 48):
        flags = {
            "dataset.root": root / "textures",
            "dataset.categories": ["brick", "grass"],
            "model.name": "pixel-gaussian",
            "model.params": {"input_size": size},
            "calibration.alpha": 0.1,
            "calibration.review_alpha": 0.3 if size == 48 else None,
            "output.dir": root / "runs",
            "output.name": f"size {size}",
            "output.thumbnails": 100,
        }
        made.append(run_recipe(load_run_config(flags=flags)).path)
    return made


@pytest.fixture(scope="module")
def comparison(runs: list[Path]) -> Comparison:
    return compare_runs(*map(measured_run, runs), resamples=300)


@pytest.fixture(scope="module")
def file(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison_report(comparison, tmp_path_factory.mktemp("page") / "compare.html")


def shown_differences(page: Page, table: str) -> dict[str, float | None]:
    cells = page.locator(f"{table} [data-difference]").all()
    found = {}
    for cell in cells:
        text = cell.get_attribute("data-number")
        found[str(cell.get_attribute("data-difference"))] = None if text in (None, "null") else float(str(text))
    return found


def test_every_difference_and_verdict_is_shown_as_it_was_found(
    comparison: Comparison, file: Path, visit: Callable[..., Page]
) -> None:
    page = visit(file)
    found = shown_differences(page, "table.overall")
    assert found == {
        name: one.difference for name, one in comparison.metrics.items() if one.a is not None or one.b is not None
    }
    for name, sentence in comparison.to_json()["verdicts"].items():
        assert page.locator(f"[data-verdict={name}]").inner_text() == sentence
    for part in comparison.categories:
        page.get_by_role("tab", name=part.name).click()
        page.get_by_role("heading", name=f"Category {part.name}").wait_for()
        found = shown_differences(page, "table.metrics:not(.overall)")
        assert found["image_auroc"] == part.metrics["image_auroc"].difference
        defects = page.locator("table.defects [data-difference=image_auroc]").all()
        assert [float(str(cell.get_attribute("data-number"))) for cell in defects] == [
            one["image_auroc"].difference for one in part.by_defect.values()
        ]


def test_both_histograms_count_what_their_own_thresholds_do_and_follow_them(
    comparison: Comparison, file: Path, visit: Callable[..., Page]
) -> None:
    page = visit(file)
    part = comparison.categories[0]

    def live(name: str, side: str) -> int:
        return int(str(page.locator(f"[data-live='{name}-{side}']").get_attribute("data-count")))

    for side, metric in (("a", "a"), ("b", "b")):
        for name in ("overkill", "escape"):
            n = next(iter(part.metrics[name].n.values()))
            assert live(name, side) / n == getattr(part.metrics[name], metric)
    assert page.locator("[data-side=a] [data-slider=review]").count() == 0
    slider = page.locator("[data-side=b] [data-slider=threshold]")
    slider.focus()
    for _ in range(12):
        slider.press("PageUp")
    threshold = float(str(slider.get_attribute("aria-valuenow")))
    review = float(str(page.locator("[data-side=b] [data-slider=review]").get_attribute("aria-valuenow")))
    records = [pair[1] for pair in part.matched.pairs]
    scores, labels = np.array([r.score for r in records]), np.array([r.label for r in records])
    expected = decision_metrics(scores, labels, threshold, review_threshold=review)
    assert live("overkill", "b") == expected["overkill"].facts["count"]
    assert live("review of good", "b") == expected["review_good"].facts["count"]
    assert live("overkill", "a") / 18 == part.metrics["overkill"].a


def test_changed_decisions_are_listed_filtered_and_shown_with_both_heat_maps(
    comparison: Comparison, file: Path, visit: Callable[..., Page]
) -> None:
    page = visit(file)
    counts = comparison.to_json()["flip_counts"]
    assert len(comparison.flips) > 3
    cards = page.locator(".flips .card")
    assert cards.count() == min(12, len(comparison.flips))
    first = cards.first
    assert first.get_attribute("data-image") == comparison.flips[0].image
    first.scroll_into_view_if_needed()
    first.locator("img").nth(2).wait_for()
    sources = [image.get_attribute("src") for image in first.locator("img").all()]
    assert len(set(sources)) == 3
    assert all(first.locator("img").nth(at).evaluate("image => image.naturalWidth") > 100 for at in range(3))
    change = "better" if counts["better"] else "worse"
    page.locator("[data-filter=change]").select_option(change)
    assert cards.count() == min(12, counts[change])
    assert {card.get_attribute("data-change") for card in cards.all()} == {change}
    rows = page.get_by_role("region", name="changed decisions").locator("tbody tr:not(.spacer)")
    assert rows.count() == counts[change]


def test_pictures_beyond_the_budget_are_left_out_and_that_is_said(
    comparison: Comparison, visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit(write_comparison_report(comparison, tmp_path / "small.html", budget=60_000))
    note = page.locator("[data-note=pictures]").inner_text()
    assert note.endswith(
        f"of {len(comparison.flips)} images have a picture here; the runs have kept "
        f"{len(comparison.flips)} (output.thumbnails)."
    )
    assert (tmp_path / "small.html").stat().st_size < 60_000 + 200_000


def test_names_from_outside_are_text_and_never_code(
    runs: list[Path], visit: Callable[..., Page], tmp_path: Path
) -> None:
    evil = "</script><img src=x onerror=\"document.title='taken'\">.png"
    copies = []
    for index, run in enumerate(runs):
        copy = Path(shutil.copytree(run, tmp_path / str(index) / "run"))
        path = copy / "categories/brick/per_image.jsonl"
        lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        lines[0].update(image=evil, defect=evil, label=1, decision="defective" if index else "good")
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        copies.append(measured_run(copy))
    found = compare_runs(*copies, resamples=200)
    page = visit(write_comparison_report(found, tmp_path / "compare.html"))
    assert page.title() != "taken"
    assert evil in page.locator("table.defects").inner_text()
    page.locator("[data-filter=change]").select_option("better")
    assert page.locator(".flips .card").filter(has_text=evil).count() == 1


@pytest.mark.parametrize("width", [800, 1280])
def test_nothing_is_wider_than_the_window(file: Path, visit: Callable[..., Page], width: int) -> None:
    page = visit(file)
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_role("tab", name="grass").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_same_comparison_gives_the_same_bytes(runs: list[Path], file: Path, tmp_path: Path) -> None:
    again = compare_runs(*map(measured_run, runs), resamples=300)
    assert write_comparison_report(again, tmp_path / "again.html").read_bytes() == file.read_bytes()
