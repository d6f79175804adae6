"""What ``pyimgano plugins new`` writes is the example, file by file."""

from __future__ import annotations

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
