"""The site of `nox -s docs`: the repository's own Markdown where it stands, so that links work here and there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]

project = "pyimgano"
copyright = "the authors of pyimgano (MIT)"
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
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

html_theme = "furo"
html_extra_path = ["_front"]  # who opens the site's folder is sent to docs/index.html
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
if (ROOT / "docs/_made/report.html").exists():
    html_extra_path.append("_made/report.html")
# What is copied is what is typed.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"


def show_folders_as_text(app: Sphinx, tree: nodes.document) -> None:
    """Take the link off a folder of the repository: a code host shows it, the site has no page for it."""
    page = Path(app.env.doc2path(app.env.docname))
    for link in list(tree.findall(addnodes.pending_xref)):
        if link.get("reftype") == "myst" and (page.parent / link["reftarget"]).is_dir():
            link.replace_self(nodes.inline("", "", *link.children))


def visit_math(translator: Any, node: nodes.Element) -> None:
    """Write a formula as MathML, which browsers show without a script from elsewhere."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Add what the extensions lack."""
    app.add_lexer("csv", TextLexer)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.connect("doctree-read", show_folders_as_text)
