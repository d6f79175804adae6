"""Names of run directories, and folder names for whatever a category is called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Optional

__all__ = ["DEFAULT_CATEGORY", "INCOMPLETE", "category_folders", "file_stem", "run_name", "safe_name"]

INCOMPLETE = ".incomplete"
"""What the name of a run directory ends with until the run is complete."""

DEFAULT_CATEGORY = "default"
"""What the only category of a dataset without categories is called."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(text: str) -> str:
    """Return a folder name for any text, a different one for each: what no file system takes is percent-encoded."""

    def encode(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

    name = re.sub(r"[^\w .()+,=@-]", encode, text)
    name = re.sub(r"^\.|[. ]$|^ ", encode, name)
    if _RESERVED.fullmatch(name):  # devices on Windows
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return name or "%"


def category_folders(names: Sequence[str]) -> dict[str, str]:
    """Return category → folder name, with names that differ only in case kept apart on every file system."""
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        folder, number = safe_name(name), 1
        while folder.casefold() in taken:
            number += 1
            folder = f"{safe_name(name)}%{number}"
        taken.add(folder.casefold())
        folders[name] = folder
    return folders


def run_name(dataset: str, entrypoint: str, *, now: Optional[datetime] = None) -> str:
    """Return ``<UTC time>_<dataset>_<entrypoint>``, which sorts by time."""
    time = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return f"{time:%Y%m%dT%H%M%SZ}_{safe_name(dataset)[:60]}_{safe_name(entrypoint)}"


def file_stem(name: str) -> str:
    """Return a relative path for whatever an image is called, which leads nowhere else; a different one for each name.

    The image's ending stays: ``a.png`` and ``a.jpg`` are two images.
    """
    parts = [safe_name(part) for part in name.replace("\\", "/").split("/") if part]
    return "/".join(parts) or safe_name(name)
