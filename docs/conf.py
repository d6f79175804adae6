"""The site of `nox -s docs`: the repository's own Markdown, where it stands, so that a link that works here works there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.fspath(ROOT / "tools"))

project = "pyimgano"
copyright = "the authors of pyimgano, MIT"
html_title = "pyimgano"

# Sphinx looks from the root of the repository, since pages link to files beside docs/.
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "examples/notebooks/*.ipynb",
    "benchmarks/*.md",
    "schemas/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["docs/conf.py", "**/__pycache__", "**/.ipynb_checkpoints", ".*", "dist", "build"]

extensions = ["myst_nb", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # as on code hosts: [text](page.md#a-heading)
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
# What is copied is what is typed.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
pygments_style = "default"
html_extra_path = ["_front"]  # who opens the site's folder is sent to docs/index.html
