"""Did-you-mean: the registered name that is nearest to what was typed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

__all__ = ["few_names", "nearest_names", "unknown_name_hint"]

FEW = 20
"""More names than this hide the line of an error that says what to type."""


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").lstrip("-")


def nearest_names(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Return up to ``n`` known names that resemble ``name``, the most similar first.

    Case, ``_`` and ``-`` are not told apart, and the dashes before an option count for nothing.
    """
    from difflib import get_close_matches

    plain = {_plain(candidate): candidate for candidate in known}
    return [plain[match] for match in get_close_matches(_plain(name), plain, n=n, cutoff=0.6)]


def unknown_name_hint(name: str, known: Iterable[str], *, listing: Optional[str] = None) -> Optional[str]:
    """Return the hint for an unknown name: the nearest names, and the command that lists all of them."""
    nearest = nearest_names(name, known)
    parts = []
    if nearest:
        parts.append("did you mean " + " or ".join(repr(candidate) for candidate in nearest) + "?")
    if listing:
        parts.append(f"see: {listing}")
    return " ".join(parts) or None


def few_names(names: Iterable[str], what: str) -> Optional[str]:
    """Return the names in order, joined by commas; of many their number alone (``"130 models"``), of none None.

    Parameters
    ----------
    names : iterable of str
        What is allowed.
    what : str
        What they are names of, e.g. ``"models"``.
    """
    found = sorted(names)
    if len(found) > FEW:
        return f"{len(found)} {what}"
    return ", ".join(found) or None
