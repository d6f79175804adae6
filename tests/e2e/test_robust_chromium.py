"""The page of a robustness benchmark in a real browser: every number as robustness.json has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from pyimgano.cli.main import main
from pyimgano.core.files import load_json
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.training import run_recipe

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("robust")
    write_textures(root / "textures", seed=0)
    for size in (16, 48):
        flags = {
            "dataset.root": root / "textures",
            "dataset.categories": ["brick", "grass"],
            "model.name": "pixel-gaussian",
            "model.params": {"input_size": size},
            "calibration.alpha": 0.1,
            "output.dir": root / "runs",
            "output.name": f"size {size}",
            "output.report": False,
        }
        run_recipe(load_run_config(flags=flags))
    ask = (
        "--from-run",
        root / "runs" / "size 48",
        "--compare",
        root / "runs" / "size 16",
        "--drifts",
        "exposure,glare",
    )
    assert main(["robust-benchmark", *map(str, ask), "--severities", "3,5", "--output", str(root / "out")]) == 0
    return root / "out"


def numbers(map: Locator) -> list[float]:
    return [float(str(cell.get_attribute("data-number"))) for cell in map.locator("td.heat").all()]


def test_the_heat_maps_show_every_condition_of_every_category(folder: Path, visit: Callable[..., Page]) -> None:
    page = visit(folder / "report.html")
    found = load_json(folder / "robustness.json")
    drifted = found["conditions"][1:]

    def check(results: list[dict[str, Any]]) -> None:
        gained = page.get_by_role("group", name="overkill gained, points")
        lost = page.get_by_role("group", name="recall lost, points")
        auroc = page.get_by_role("group", name="image AUROC", exact=True)
        assert numbers(gained) == [one["changes"]["overkill"]["difference"] for one in results]
        assert numbers(lost) == [-one["changes"]["recall"]["difference"] for one in results]
        assert numbers(auroc) == [one["levels"]["image_auroc"]["value"] for one in results]

    assert [(one["drift"], one["severity"]) for one in drifted] == [
        (drift, severity) for drift in ("exposure", "glare") for severity in (3, 5)
    ]
    check(drifted)
    for name in ("brick", "grass"):
        page.get_by_role("tab", name=name).click()
        check([one["categories"][name] for one in drifted])
    first = page.get_by_role("group", name="overkill gained, points").locator("td.heat").first
    assert str(first.get_attribute("title")).startswith("exposure 3: ")
    assert "n = 18 good" in str(first.get_attribute("title"))
    rows = page.get_by_role("region", name="conditions").locator("tbody tr:not(.spacer)")
    assert rows.count() == 5
    assert rows.first.inner_text().startswith("(clean)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_summary_the_comparison_and_the_worst_images_are_shown(
    folder: Path, visit: Callable[..., Page], scheme: str
) -> None:
    page = visit(folder / "report.html", color_scheme=scheme)
    found = load_json(folder / "robustness.json")
    for name in ("overkill_gained", "recall_lost", "image_auroc"):
        shown = page.locator(f"[data-summary={name}]").get_attribute("data-number")
        assert float(str(shown)) == found["summary"][name]["value"]
    # This model is worth nothing on textures, and the page says so.
    assert found["summary"]["retained"]["value"] is None
    assert page.get_by_text(found["summary"]["retained"]["reason"]).count() == 1
    comparison = found["comparison"]
    assert page.locator(".verdicts li").all_inner_texts() == comparison["answer"]
    matched = page.get_by_role("group", name="overkill, B − A, points, at equal recall without drift")
    assert numbers(matched) == [one["matched"]["overkill"]["difference"] for one in comparison["conditions"]]
    worst = page.get_by_alt_text("images of the worst condition")
    assert worst.evaluate("node => node.naturalWidth") > 200
    # The text of the strongest cell is read on its ground.
    cells = page.locator("td.heat").all()
    assert min(cell.evaluate(CONTRAST) for cell in cells) > 4.5


CONTRAST = """node => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const paint = (...colours) => {
    colours.forEach((colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); });
    const part = (value) => { const x = value / 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = getComputedStyle(document.body).backgroundColor;
  const [a, b] = [paint(ground, getComputedStyle(node).backgroundColor), paint(getComputedStyle(node).color)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
