"""A generated dataset folder that is whole or absent, and is written once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from pyimgano.core.errors import PyimganoError
from pyimgano.core.files import dump_json, load_json

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
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".part", dir=root.parent))
    except OSError as error:
        raise PyimganoError(f"cannot make the folder: {error.strerror or error}", where=str(root)) from error
    try:
        write(temporary)
        dump_json(record, temporary / MARKER)
        temporary.chmod(0o755)
        os.replace(temporary, root)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise PyimganoError(f"cannot write: {error.strerror or error}", where=str(root)) from error
        raise
