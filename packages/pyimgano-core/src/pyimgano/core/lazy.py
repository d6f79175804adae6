"""Packages whose names are imported when they are asked for: who needs one of them does not pay for all."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Callable

__all__ = ["lazy_exports"]


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package (:pep:`562`).

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : mapping
        Name → the module below the package that has it.
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return find
