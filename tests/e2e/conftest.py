"""A real browser for the pages that pyimgano writes, and real solar cells for the models."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional
from urllib.parse import unquote

import numpy as np
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> Optional[str]:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium; without one, tests that need it are skipped, or fail where the environment says so."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None and os.environ.get("PYIMGANO_TEST_BROWSER") != "required":
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    assert path is not None, "PYIMGANO_TEST_BROWSER=required, and no Chromium is installed"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))  # in a profile of its own
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file in a window of its own; at the end, nothing but that file was asked for, and nothing complained."""
    asked: list[str] = []
    said: list[str] = []
    opened: list[Any] = []

    def go(path: Path, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        opened.append((context, path))
        return page

    yield go
    for context, _ in opened:
        context.close()
    assert said == []
    files = {path.as_uri() for _, path in opened}
    assert {
        url for url in asked if not url.startswith(("data:", "about:")) and unquote(url) not in map(unquote, files)
    } == set()


@pytest.fixture(scope="session")
def shuffled_cells() -> Callable[[int], tuple[list[Path], list[Path]]]:
    """Give good (probability 0) and defective (probability 1) mono cells of ELPV, shuffled by a seed.

    With 200, 100 and 100 of them it is the split of the development benchmark, the same as in ``benchmarks/elpv.py``.
    """
    spec = importlib.util.find_spec("elpv_dataset")
    assert spec is not None, "elpv-dataset is not installed"
    assert spec.origin is not None
    root = Path(spec.origin).parent / "data"
    found: dict[float, list[str]] = {0.0: [], 1.0: []}
    for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines():
        if line.strip():
            path, probability, kind = line.split()
            if kind == "mono" and float(probability) in found:
                found[float(probability)].append(path)
    good, defective = ([root / path for path in sorted(found[label])] for label in (0.0, 1.0))

    def shuffled(seed: int) -> tuple[list[Path], list[Path]]:
        rng = np.random.default_rng(seed)
        mixed = [good[index] for index in rng.permutation(len(good))]
        return mixed, [defective[index] for index in rng.permutation(len(defective))]

    return shuffled
