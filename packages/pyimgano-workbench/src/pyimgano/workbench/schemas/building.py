"""What the schemas are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "NUMBER",
    "NUMBER_OR_NULL",
    "TEXT",
    "TEXTS",
    "TEXT_OR_NULL",
    "WHOLE",
    "object_of",
    "pair_of",
    "value",
    "version",
]


def object_of(
    properties: Mapping[str, Any], *, optional: tuple[str, ...] = (), more: bool = False, description: str = ""
) -> dict[str, Any]:
    """Return the schema of an object.

    Parameters
    ----------
    properties : mapping
        Name → schema; required unless named in ``optional``.
    more : bool
        Whether it may have others.
    """
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "required": [key for key in properties if key not in optional],
        "additionalProperties": more,
    }
    return {"description": description, **schema} if description else schema


def value(kind: Any, description: str = "", **more: Any) -> dict[str, Any]:
    """Return the schema of a value of one type, or of a list of types."""
    return {"type": kind, **({"description": description} if description else {}), **more}


def pair_of(item: Mapping[str, Any], description: str = "", *, null: bool = False) -> dict[str, Any]:
    """Return the schema of an array of two."""
    return value(["array", "null"] if null else "array", description, items=dict(item), minItems=2, maxItems=2)


def version(number: int) -> dict[str, Any]:
    """Return the schema of ``schema_version``."""
    return value("integer", const=number)


TEXT, WHOLE, NUMBER = value("string"), value("integer", minimum=0), value("number")
TEXTS = value("array", items=TEXT)
TEXT_OR_NULL, NUMBER_OR_NULL = value(["string", "null"]), value(["number", "null"])
