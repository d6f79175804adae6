"""The shell of a page: markup, style, scripts and blocks of JSON, in one file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import string
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pyimgano.core.files import atomic_open, dumps_json

__all__ = ["PIECES", "REPORT_HTML", "write_page"]

REPORT_HTML = "report.html"

PIECES = ("dom.js", "statistics.js", "table.js", "charts.js", "histogram.js", "pictures.js")
"""Scripts that every page can use, in the order in which they build on each other."""


def write_page(path: Path, *, title: str, scripts: Sequence[str], blocks: Iterable[tuple[str, Any]]) -> None:
    """Write a page, atomically.

    Parameters
    ----------
    path : Path
        The HTML file; its folder must exist.
    title : str
        Of the browser's window.
    scripts : sequence of str
        Files in ``assets`` that draw the page; they come after :data:`PIECES`.
    blocks : iterable of (str, JSON-friendly value)
        What the scripts read by ``block(id)``. They are written one by one, so that a generator needs the memory of
        the largest one only.

    Raises
    ------
    StorageError
        When the file cannot be written.
    ValueError
        When a block holds a number that is not finite.

    Notes
    -----
    The same blocks give the same bytes. A policy in the page forbids all requests, and all scripts but the page's own.
    """
    code = "(() => {\n'use strict';\n" + "\n".join(_asset(name) for name in (*PIECES, *scripts)) + "})();\n"
    # What the browser hashes is all that stands between the tags.
    digest = base64.b64encode(hashlib.sha256(f"\n{code}\n".encode()).digest()).decode("ascii")
    values = {
        "policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "title": html.escape(title),
        "style": _asset("report.css"),
        "script": code,
        "blocks": "$blocks",
    }
    before, after = string.Template(_asset("page.html")).substitute(values).split("$blocks")
    with atomic_open(path, "wb") as stream:
        # A file name that is not UTF-8 becomes \udc.. escapes, which in JSON mean just that.
        stream.write(before.encode("utf-8", "backslashreplace"))
        for name, value in blocks:
            stream.write(f'<script type="application/json" id="{html.escape(name)}">'.encode())
            # Nothing in the data can end its element: JSON has another way to write "<".
            stream.write(dumps_json(value).replace("<", "\\u003c").encode("utf-8", "backslashreplace"))
            stream.write(b"</script>\n")
        stream.write(after.encode("utf-8"))


def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")
