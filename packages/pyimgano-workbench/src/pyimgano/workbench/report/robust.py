"""``report.html`` of a robustness benchmark: drifts × severities as heat maps, and two runs side by side."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.report.page import REPORT_HTML, write_page

__all__ = ["write_robustness_report"]


def write_robustness_report(folder: Path, document: Mapping[str, Any], *, picture: Optional[Path] = None) -> Path:
    """Write the page of a robustness benchmark into its folder.

    Parameters
    ----------
    folder : Path
        The benchmark's.
    document : mapping
        What ``robustness.json`` holds.
    picture : Path, optional
        A PNG of the worst condition's images, embedded.

    Raises
    ------
    StorageError
        When the page cannot be written.
    PyimganoError
        When the picture cannot be read.
    """
    path = folder / REPORT_HTML
    blocks: list[tuple[str, Any]] = [("robustness", document)]
    if picture is not None:
        try:
            blocks.append(("worst", base64.b64encode(picture.read_bytes()).decode("ascii")))
        except OSError as error:
            raise PyimganoError(f"cannot read: {error.strerror or error}", where=str(picture)) from error
    title = f"{document['run']['name']} under drift"
    write_page(path, title=title, scripts=("robust.js",), blocks=blocks)
    return path
