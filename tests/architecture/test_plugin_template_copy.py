"""What ``pyimgano plugins new`` writes is the example, file by file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pyimgano.cli.new_plugin import TEMPLATE, plugin_files


def test_the_package_holds_the_example_as_it_is(root: Path) -> None:
    example = root / "examples" / "plugin-template"
    files = plugin_files(TEMPLATE)
    assert {"pyproject.toml", "README.md", "LICENSE", "tests/test_contract.py"} < files.keys()
    for name, text in files.items():
        assert (example / name).read_bytes().replace(b"\r\n", b"\n") == text.encode("utf-8"), name


def test_the_tool_that_copies_it_finds_nothing_to_do(root: Path) -> None:
    tool = [sys.executable, str(root / "tools" / "write_plugin_template.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_example_has_the_licence_of_the_project(root: Path) -> None:
    assert (root / "examples/plugin-template/LICENSE").read_bytes() == (root / "LICENSE").read_bytes()


def test_what_the_page_shows_of_the_template_stands_in_it(root: Path) -> None:
    page = (root / "docs" / "extending.md").read_text(encoding="utf-8")
    files = plugin_files("bolt-check")
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```python")
    for name, block in blocks:
        for part in block.split("...\n"):
            assert part in files[name], f"{name}:\n{part}"
    tables = re.findall(r"^\| `((?:src|tests)/\S*|pyproject\.toml)` \|", page, re.MULTILINE)
    assert len(tables) == 8
    assert all(any(file.startswith(name) for file in files) for name in tables)
