"""What the page of a run says of its training, in a real browser: the report's own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.report import REPORT_HTML
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.training import run_recipe

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("training")
    write_textures(root / "textures", seed=0)
    flags = {
        "recipe": "micro-finetune",
        "dataset.root": root / "textures",
        "dataset.categories": ["brick"],
        "model.name": "stfpm",
        "model.params": {"input_size": 64, "learning_rate": 0.1},
        "recipe_params": {"epochs": 3, "validation_defects": 8},
        "calibration.alpha": 0.1,
        "output.dir": root / "runs",
    }
    return run_recipe(load_run_config(flags=flags))


def test_the_verdict_and_every_difference_are_shown_as_they_are(run: RunDirectory, visit: Callable[..., Page]) -> None:
    told = run.category("brick").report()["finetune"]
    page = visit(run.path / REPORT_HTML)
    section = page.locator("section", has=page.get_by_role("heading", name="Training", exact=True))
    assert section.locator(f"[data-verdict='{told['verdict']}']").inner_text().endswith(f"{told['verdict']}.")
    shown = {
        str(cell.get_attribute("data-difference")): float(str(cell.get_attribute("data-number")))
        for cell in section.locator("[data-difference]").all()
    }
    assert shown == {name: one["difference"] for name, one in told["differences"].items()}
    text = section.inner_text()
    for part in (told["mode"], told["ended"], f"the state of step {told['kept']}", f"step {told['best']['step']}"):
        assert part in text
