"""The reference of the command line says what the commands say of themselves. Takes 2 s."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_page_is_what_the_commands_give(root: Path) -> None:
    tool = [sys.executable, str(root / "tools" / "write_cli_reference.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_link_of_the_page_leads_to_a_command(root: Path) -> None:
    text = (root / "docs" / "cli-reference.md").read_text(encoding="utf-8")
    headings = {title.replace(" ", "-") for title in re.findall(r"^#+ (pyimgano.*)$", text, re.M)}
    links = re.findall(r"\(#([^)]+)\)", text)
    assert links
    assert set(links) <= headings
