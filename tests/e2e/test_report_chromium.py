"""report.html in a real browser: it shows what Python measured, at every threshold, and asks nobody for anything."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

import numpy as np
import pytest

from pyimgano.core.files import dump_json
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.evaluate import confusion, decision_metrics
from pyimgano.workbench.report import write_run_report
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.training import run_recipe

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

RATES = ("overkill", "escape", "precision", "recall", "f1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Three textures with masks, with a review band; a statistical model, so that some images are judged wrongly."""
    root = tmp_path_factory.mktemp("report")
    write_textures(root / "textures", seed=0)
    (root / "textures" / "grass" / "test" / "good" / "zz.png").write_bytes(b"no image")
    settings = ("calibration.alpha=0.1", "calibration.review_alpha=0.3", "max_errors=1")
    flags = {
        "dataset.root": root / "textures",
        "model.name": "pixel-gaussian",
        "output.dir": root / "runs",
    }
    return run_recipe(load_run_config(settings=["model.params.input_size=64", *settings], flags=flags))


def scored(run: RunDirectory, category: str) -> tuple[np.ndarray, np.ndarray]:
    lines = run.category(category).per_image.read_text(encoding="utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if "score" in record]
    return np.array([r["score"] for r in records]), np.array([r["label"] for r in records])


def choose(page: Page, category: str) -> None:
    page.get_by_role("tab", name=category).click()
    page.get_by_role("heading", name=f"Category {category}").wait_for()


def number(place: Locator, name: str = "data-number") -> Optional[float]:
    text = place.get_attribute(name)
    assert text is not None
    return None if text in ("null", "") else float(text)


def thresholds_of(page: Page) -> tuple[float, float]:
    return tuple(float(page.locator(f"[data-input={name}]").input_value()) for name in ("threshold", "review"))  # type: ignore[return-value]


def set_threshold(page: Page, value: float, name: str = "threshold") -> None:
    field = page.locator(f"[data-input={name}]")
    field.fill(repr(value))
    field.press("Enter")


def assert_live_numbers_are_pythons(page: Page, scores: np.ndarray, labels: np.ndarray) -> dict[str, int]:
    """What the page shows is what Python counts at the thresholds that the page shows."""
    threshold, review = thresholds_of(page)
    band = review if review < threshold else None
    counts = {"review_good": 0, "review_defective": 0, **confusion(scores, labels, threshold, review_threshold=band)}
    shown = {name: int(page.locator(f"[data-confusion={name}]").inner_text()) for name in counts}
    assert shown == counts
    metrics = decision_metrics(scores, labels, threshold, review_threshold=band)
    for name in RATES if band is None else (*RATES, "review_good", "review_defective"):
        metric = metrics[name]
        assert number(page.locator(f"[data-live={name}]")) == metric.value, name
        if "interval" in metric.facts:
            interval = page.locator(f"[data-live={name}_interval]")
            found = (number(interval, "data-low"), number(interval, "data-high"))
            assert found == pytest.approx(metric.facts["interval"], abs=1e-9), name
    return shown


def test_every_number_of_the_report_is_shown_as_it_is(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    assert page.get_by_role("heading", level=1).inner_text() == run.name
    for folder in run.categories():
        choose(page, folder.name)
        report = folder.report()
        for name, metric in report["metrics"].items():
            place = page.locator(f'[data-metric="{name}"]')
            assert number(place) == metric["value"], name
        for name in RATES:
            assert number(page.locator(f"[data-live={name}]")) == report["metrics"][name]["value"], name
        for name, count in report["confusion"].items():
            assert page.locator(f"[data-confusion={name}]").inner_text() == str(count)
        card = report["calibration"]
        assert thresholds_of(page) == (card["threshold"], card["review_threshold"])
        assert card["guarantee"] in page.locator("[data-live=remark]").inner_text()


def test_numbers_follow_the_threshold_exactly(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "gravel")
    scores, labels = scored(run, "gravel")
    low, high = scores.min(), scores.max()
    between = [float(value) for value in np.random.default_rng(0).choice(scores, 5, replace=False)]
    beside = [float(np.nextafter(between[0], np.inf)), float(np.nextafter(between[0], -np.inf))]
    found = set()
    set_threshold(page, float(low) - 1.0, "review")
    for value in [float(low) - 0.5, float(low), *between, *beside, float(high), float(high) + 1.0]:
        set_threshold(page, value)
        assert thresholds_of(page)[0] == value
        found.add(tuple(assert_live_numbers_are_pythons(page, scores, labels).values()))
    assert len(found) > 6
    page.get_by_role("button", name="calibrated").click()
    card = run.category("gravel").report()["calibration"]
    assert thresholds_of(page) == (card["threshold"], card["review_threshold"])
    assert_live_numbers_are_pythons(page, scores, labels)


def test_the_threshold_can_be_dragged_with_the_mouse(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "grass")
    scores, labels = scored(run, "grass")
    seen = []
    for distance in (-150, 60, 300):
        box = page.locator("[data-slider=threshold] .grip").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + distance, box["y"] + 90, steps=7)
        page.mouse.up()
        page.mouse.move(5, 5)  # what is not held stays
        seen.append(thresholds_of(page)[0])
        assert_live_numbers_are_pythons(page, scores, labels)
    assert seen[0] < seen[1] < seen[2]
    assert "Not the calibrated threshold" in page.locator("[data-live=remark]").inner_text()


def test_the_threshold_can_be_moved_with_the_keyboard_and_from_score_to_score(
    run: RunDirectory, visit: Callable[..., Page]
) -> None:
    page = visit(run.path / "report.html")
    choose(page, "brick")
    scores, labels = scored(run, "brick")
    slider = page.get_by_role("slider", name="defective")
    slider.focus()
    before = thresholds_of(page)[0]
    for key, up in (
        ("ArrowRight", True),
        ("Shift+ArrowRight", True),
        ("PageDown", False),
        ("Home", False),
        ("End", True),
    ):
        slider.press(key)
        now = thresholds_of(page)[0]
        assert (now > before) == up, key
        assert float(slider.get_attribute("aria-valuenow") or "nan") == now
        assert_live_numbers_are_pythons(page, scores, labels)
        before = now
    distinct = sorted(set(scores.tolist()))
    set_threshold(page, distinct[-1] + 1e-3)
    for expected in distinct[:-4:-1]:
        page.get_by_role("button", name="‹ score").click()
        assert thresholds_of(page)[0] == expected
        assert_live_numbers_are_pythons(page, scores, labels)
    page.get_by_role("button", name="score ›").click()
    assert thresholds_of(page)[0] == distinct[-2]


def test_the_two_thresholds_never_cross(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "gravel")
    scores, labels = scored(run, "gravel")
    threshold, review = thresholds_of(page)
    set_threshold(page, (review + float(scores.min())) / 2)
    assert thresholds_of(page)[1] == thresholds_of(page)[0]
    assert_live_numbers_are_pythons(page, scores, labels)
    set_threshold(page, threshold, "review")
    assert thresholds_of(page) == (threshold, threshold)
    set_threshold(page, review, "review")
    assert_live_numbers_are_pythons(page, scores, labels)


def test_the_operating_point_moves_on_the_curves(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "gravel")
    point = page.get_by_role("img", name="Image ROC").locator(".operating")
    scores, labels = scored(run, "gravel")
    places = []
    for value in (float(scores.min()), float(np.median(scores)), float(scores.max()) + 1.0):
        set_threshold(page, value)
        places.append((float(point.get_attribute("cx") or 0), float(point.get_attribute("cy") or 0)))
    (right, top), _, (left, bottom) = places
    assert right > left
    assert top < bottom
    middle = decision_metrics(scores, labels, float(np.median(scores)))
    expected = [left + middle["overkill"].value * (right - left), bottom - middle["recall"].value * (bottom - top)]
    assert list(places[1]) == pytest.approx(expected)


def test_there_is_a_chart_of_every_curve_that_was_measured(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "gravel")
    curves = json.loads((run.category("gravel").path / "curves.json").read_text(encoding="utf-8"))
    titles = {
        ("image", "roc"): "Image ROC",
        ("image", "pr"): "Image precision–recall",
        ("pixel", "roc"): "Pixel ROC",
        ("pixel", "pr"): "Pixel precision–recall",
        ("pixel", "pro"): "Per-region overlap (PRO)",
    }
    drawn = [chart.get_attribute("aria-label") for chart in page.locator(".charts svg").all()]
    assert drawn == [title for (level, name), title in titles.items() if curves[level].get(name)]
    assert len(drawn) == 5
    for path in page.locator(".charts path.curve").all():
        assert (path.get_attribute("d") or "").count("L") > 2


def column(page: Page, title: str) -> list[str]:
    place = page.locator(".window thead th").all_inner_texts().index(title)
    return page.locator(f".window tbody tr:not(.spacer) td:nth-child({place + 1})").all_inner_texts()


def test_the_table_of_images_is_sorted_and_filtered(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "grass")
    scores = np.sort(scored(run, "grass")[0])

    def shown() -> list[float]:
        places = page.locator(".window tbody [data-number]")
        values = [place.get_attribute("data-number") for place in places.all()]
        return [float(value) for value in values if value not in (None, "undefined")]

    # By its text: whether a button's name holds the arrow that the style sheet adds depends on who computes it.
    head = page.locator(".window thead button").filter(has_text=re.compile("^score$"))
    assert shown()[:5] == scores[::-1][:5].tolist()
    head.click()
    assert shown()[:5] == scores[:5].tolist()
    assert page.locator("th[aria-sort=ascending]").all_inner_texts() == ["score"]
    page.get_by_role("button", name="image", exact=True).click()
    names = column(page, "image")
    assert names == sorted(names)
    page.locator("[data-filter=text]").fill("stain")
    assert all("stain" in name for name in column(page, "image"))
    page.locator("[data-filter=text]").fill("")
    page.locator("[data-filter=decision]").select_option("error")
    assert column(page, "image") == ["grass/test/good/zz.png"]
    assert column(page, "decision")[0].startswith("error: ImageError")
    assert page.locator("[data-count=rows]").inner_text() == f"1 of {len(scores) + 1} rows"
    page.locator("[data-filter=decision]").select_option("")
    page.locator("[data-filter=label]").select_option("● good")
    assert set(column(page, "label")) == {"● good"}


def test_the_worst_images_are_shown_with_their_pictures(run: RunDirectory, visit: Callable[..., Page]) -> None:
    page = visit(run.path / "report.html")
    choose(page, "grass")
    scores, _ = scored(run, "grass")
    set_threshold(page, float(np.median(scores)))
    escapes = page.locator(".gallery").first.locator(".card")
    escapes.first.wait_for()
    threshold, review = thresholds_of(page)
    lines = run.category("grass").per_image.read_text(encoding="utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if record.get("label") == 1]
    passed = sorted((r["score"], r["image"]) for r in records if r["score"] < min(review, threshold))
    names = [card.get_attribute("data-image") for card in escapes.all()]
    assert names == [image for _, image in passed][:12]
    escapes.first.click()
    dialog = page.get_by_role("dialog")
    decoded = "image => image.decode().then(() => image.naturalWidth)"
    assert [picture.evaluate(decoded) for picture in dialog.locator("img").all()] == [224, 256]
    assert f"{passed[0][1]}" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_regions_are_listed_with_the_rule_that_removed_one_and_groups_have_a_column(
    run: RunDirectory, visit: Callable[..., Page], tmp_path: Path
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run.path, copied)
    grouped = open_run(copied)
    path = grouped.category("grass").per_image
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    regions = [
        {"box": [3, 4, 20, 10], "area": 120, "score": 7.25},
        {"box": [90, 80, 2, 2], "area": 3, "score": 6.5, "removed_by": "min_area"},
    ]
    records = [{**record, "group": f"part-{at % 2}"} for at, record in enumerate(records)]
    lowest = min((r for r in records if r.get("label") == 1), key=lambda record: record["score"])
    lowest.update(regions=regions, regions_left_out=4)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    page = visit(write_run_report(grouped))
    choose(page, "grass")
    set_threshold(page, float(np.median(scored(grouped, "grass")[0])))
    page.locator(".gallery .card").first.click()
    items = page.get_by_role("dialog").locator(".regions li").all_inner_texts()
    assert items[0] == "7.25 · 120 pixels at (3, 4), 20 × 10"
    assert items[1] == "6.5 · 3 pixels at (90, 80), 2 × 2, removed by min_area"
    assert items[2] == "and 4 more"
    page.keyboard.press("Escape")
    page.locator("[data-filter=text]").fill(lowest["image"])
    assert column(page, "regions") == ["1"]
    page.locator("[data-filter=text]").fill("part-1")
    assert set(column(page, "group")) == {"part-1"}


def test_a_page_of_five_thousand_images_holds_only_the_rows_in_view(
    run: RunDirectory, visit: Callable[..., Page], tmp_path: Path
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run.path, copied)
    large = open_run(copied)
    path = large.category("gravel").per_image
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    many = [{**records[at % len(records)], "image": f"{at:05d}.png"} for at in range(5400)]
    path.write_text("".join(json.dumps(record) + "\n" for record in many), encoding="utf-8")
    page = visit(write_run_report(large))
    choose(page, "gravel")
    assert page.locator("[data-count=rows]").inner_text() == "5,400 rows"
    rows = page.locator(".window tbody tr:not(.spacer)")
    assert 5 < rows.count() < 60
    page.get_by_role("button", name="image", exact=True).click()
    page.locator(".window").evaluate("frame => { frame.scrollTop = frame.scrollHeight; }")
    page.get_by_text("05399.png").wait_for()
    assert 5 < rows.count() < 60
    scores, labels = scored(large, "gravel")
    assert len(scores) == 5400
    set_threshold(page, float(np.median(scores)))
    assert_live_numbers_are_pythons(page, scores, labels)
    assert page.locator(".card").count() <= 24


def test_names_from_outside_are_text_and_never_code(
    run: RunDirectory, visit: Callable[..., Page], tmp_path: Path
) -> None:
    evil = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">.png"
    copied = tmp_path / "run"
    shutil.copytree(run.path, copied)
    hostile = open_run(copied)
    path = hostile.category("brick").per_image
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records[0].update(image=evil, defect=evil)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    report = hostile.report()
    dump_json({**report, "dataset": evil, "notes": [evil]}, copied / "report.json")
    page = visit(write_run_report(hostile))
    choose(page, "brick")
    page.locator("[data-filter=text]").fill("onerror")
    assert column(page, "image") == [evil]
    assert page.title() != "taken"
    assert evil in page.locator("header.top").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [800, 1280])
def test_nothing_is_wider_than_the_window_and_the_scheme_is_followed(
    run: RunDirectory, visit: Callable[..., Page], width: int, scheme: str
) -> None:
    page = visit(run.path / "report.html", color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    choose(page, "grass")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = [int(part) for part in ground.strip("rgb()").split(",")]
    assert (min(brightness) > 200) == (scheme == "light")
    assert (max(brightness) < 60) == (scheme == "dark")
