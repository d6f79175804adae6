"""A generated dataset folder that is whole or absent, and is written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from pyimgano.core.errors import PyimganoError
from pyimgano.core.files import atomic_folder, dump_json, load_json

__all__ = ["MARKER", "write_once"]

MARKER = "demo.json"
"""File in the folder that says how it was made."""

DEMO_SCHEMA = 1


def write_once(root: Path, facts: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    """Make ``root`` by ``write(temporary folder)`` and a rename; keep it when it was made from the same ``facts``.

    Raises
    ------
    PyimganoError
        When ``root`` exists and is something else, or cannot be made.
    """
    record = {"schema_version": DEMO_SCHEMA, **facts}
    if root.exists():
        if (root / MARKER).is_file() and load_json(root / MARKER) == record:
            return
        raise PyimganoError(
            "the folder exists and is not this demo's dataset",
            where=str(root),
            hint="choose another --output, or remove the folder",
        )
    with atomic_folder(root) as temporary:
        write(temporary)
        dump_json(record, temporary / MARKER)
