"""The page of an audit in a real browser: pictures of copies and of the most unlike images, as Python found them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

import pytest

from pyimgano.datasets import read_dataset
from pyimgano.workbench.audit import Audit, AuditSettings, audit_samples
from pyimgano.workbench.audit.files import write_audit
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.progress import Silent


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Path]:
    root = tmp_path_factory.mktemp("audit")
    write_textures(root / "textures", seed=0)
    brick = root / "textures" / "brick"
    shutil.copy(brick / "train/good/000.png", brick / "test/good/again.png")
    (brick / "train/good/broken.png").write_bytes(b"nothing")
    flags = {"dataset.root": root / "textures", "model.name": "pixel-gaussian", "model.params": {"input_size": 32}}
    samples = read_dataset(root / "textures", categories=["brick", "grass"])
    found = audit_samples(samples, load_run_config(flags=flags), Silent(), AuditSettings(folds=3, top=30))
    return found, write_audit(found, root / "audit") / "report.html"


def test_page_shows_copies_and_ranks_of_each_category(audited: tuple[Audit, Path], visit: Callable[..., Any]) -> None:
    found, file = audited
    page = visit(file)
    assert page.locator("[data-count=leaks]").inner_text().startswith("1 set of copies in two splits")
    card = page.locator(".card.set")
    assert card.count() == 1
    assert "in two splits" in card.locator("strong").inner_text()
    assert card.locator(".name").all_inner_texts() == ["brick/test/good/again.png", "brick/train/good/000.png"]
    card.scroll_into_view_if_needed()
    card.locator("img").nth(1).wait_for()
    assert page.locator("td", has_text="brick/train/good/broken.png").count() == 1
    for index, ranking in enumerate(found.rankings):
        page.locator("[role=tab]").nth(index).click()
        shown = page.locator("[data-rank]")
        assert shown.count() == 24
        names = [one.sample.id for one in ranking.ranked[:24]]
        assert [card.get_attribute("data-image") for card in shown.all()] == names
        shown.first.scroll_into_view_if_needed()
        shown.first.locator("img").nth(1).wait_for()  # the image and its map
    page.locator("section", has_text="least like the others").locator("button.more").last.click()
    assert page.locator("[data-rank]").count() == 30
