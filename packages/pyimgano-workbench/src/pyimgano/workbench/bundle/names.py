"""Names of the files in a bundle, and which names are taken from strangers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pyimgano.core.errors import CheckpointError
from pyimgano.workbench.runs.naming import safe_name

__all__ = [
    "BUNDLE_JSON",
    "CALIBRATION_CARD",
    "EXPECTED_JSON",
    "GRAPH_FILE",
    "INPUT_PNG",
    "MANIFEST",
    "MODEL_CARD",
    "PARITY_JSON",
    "check_names",
]

MANIFEST = "manifest.json"
BUNDLE_JSON = "bundle.json"
CALIBRATION_CARD = "calibration_card.json"
PARITY_JSON = "parity.json"
MODEL_CARD = "MODEL_CARD.md"
GRAPH_FILE = "model.onnx"
INPUT_PNG = "input.png"
EXPECTED_JSON = "expected.json"

MAX_FILES = 10_000
MAX_LENGTH = 200
MAX_DEPTH = 6


def check_names(names: Iterable[str], *, where: str) -> None:
    """Refuse names that lead elsewhere, that some file system does not take, or of which two could be one file.

    Parameters
    ----------
    names : iterable of str
        Paths relative to the bundle, with ``/``.
    where : str
        What names them, for the error.

    Raises
    ------
    CheckpointError
        It shows the name.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        _check_name(name, where)
        if len(files) >= MAX_FILES:
            raise CheckpointError(f"holds more than {MAX_FILES} files", where=where)
        parts = name.split("/")
        key = _key(name)
        if key in files:
            twice = "twice" if files[key] == name else f"beside {files[key]!r}: one file on some systems"
            raise CheckpointError(f"holds {name!r} {twice}", where=where)
        files[key] = name
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            if folders.setdefault(_key(above), above) != above:
                raise CheckpointError(f"holds the folders {folders[_key(above)]!r} and {above!r}", where=where)
    both = files.keys() & folders.keys()
    if both:
        raise CheckpointError(f"{files[min(both)]!r} is a file and a folder", where=where)


def _check_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not name or len(name) > MAX_LENGTH:
        raise CheckpointError(f"is no name of a file in a bundle: {str(name)[:80]!r}", where=where)
    parts = name.split("/")
    # What `safe_name` would change is what some file system does not take: `..`, `\`, `C:`, `nul`, control characters.
    # The percent signs that it writes itself are left out of the question.
    if len(parts) > MAX_DEPTH or any(safe_name(plain) != plain for plain in (part.replace("%", "-") for part in parts)):
        raise CheckpointError(
            f"holds a file of the name {name[:120]!r}, which leads elsewhere or is none everywhere",
            where=where,
            allowed="relative paths with '/', of letters, digits, spaces and . ( ) + , = @ - _ %",
        )


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
