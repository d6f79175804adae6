"""The command line of a tool that writes files of the repository: writes them, or with ``--check`` compares them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

__all__ = ["ROOT", "write_or_check"]

ROOT = Path(__file__).resolve().parents[1]


def write_or_check(description: str, files: Mapping[Path, str], *, found: Iterable[Path] = ()) -> int:
    """Write the files that differ, with line feeds, or tell of them.

    Parameters
    ----------
    description : str
        Docstring of the tool; its first line stands in the help.
    files : mapping of Path to str
        What the files should hold. Below :data:`ROOT`.
    found : iterable of Path, optional
        Files that are there; those that ``files`` lacks are removed.

    Returns
    -------
    int
        The exit code: 1 with ``--check`` where a file is not up to date.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is not up to date")
    check = parser.parse_args().check
    differing = sorted(path for path in {*files, *found} if _text(path) != files.get(path))
    for path in differing:
        if check:
            where, tool = path.relative_to(ROOT).as_posix(), Path(sys.argv[0]).name
            print(f"{where} is not up to date: python tools/{tool}", file=sys.stderr)
        elif path in files:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], encoding="utf-8", newline="\n")
        else:
            path.unlink()
    return 1 if check and differing else 0


def _text(path: Path) -> Optional[str]:
    """Return the text of a file, whatever git made of its line feeds; None when it is not there."""
    return path.read_text(encoding="utf-8") if path.is_file() else None
