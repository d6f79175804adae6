"""A run config as a file that explains itself. Every word on a key comes from the config's own schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from pyimgano.workbench.config import run_config_schema

__all__ = ["FORMATS", "starter_text"]

FORMATS = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
"""File name ending → format."""

EXAMPLES: Mapping[str, Any] = {
    "dataset.limit": 100,
    "dataset.value_range": [0, 4095],
    "output.name": "first-try",
    "batch_size": 8,
    "tiling": {"tile": 512},
}
"""What is shown for a key whose default is that it is not set."""

WIDTH = 100


def starter_text(
    settings: Mapping[str, Any], *, form: str, notes: Sequence[str] = (), shown: Optional[Mapping[str, Any]] = None
) -> str:
    """Return the content of a config file.

    Parameters
    ----------
    settings : mapping
        Dotted key → value: the keys that are set. All others stand there behind a ``#`` with their defaults.
    form : {"toml", "yaml", "json"}
        JSON has no comments, and gets the settings only.
    notes : sequence of str
        What comes first in the file.
    shown : mapping, optional
        Dotted key → value to show behind a ``#`` instead of the default.

    Returns
    -------
    str
    """
    if form == "json":
        return json.dumps(_nested(settings), indent=2, ensure_ascii=False) + "\n"
    shown = {**EXAMPLES, **(shown or {})}
    schema = run_config_schema()
    lines = []
    for note in notes:
        lines += _comment(note)
    lines.append("")
    tables = []
    for name, described in schema["properties"].items():
        inner = _table(described, schema)
        if inner is None:
            lines += _entry(name, described, schema, settings, shown, form, indent="")
        else:
            tables.append((name, inner))
    for name, inner in tables:
        lines += ["", *_comment(f"{inner.get('description', '')}")]
        # In YAML a table whose keys are all comments would be null; in TOML a key below a header that is a comment
        # would fall into the table above.
        used = form == "toml" or any(f"{name}.{key}" in settings for key in inner["properties"])
        lines.append(f"[{name}]" if form == "toml" else f"{name}:" if used else f"#{name}:")
        for key, described in inner["properties"].items():
            indent = "" if form == "toml" else "  "
            lines += _entry(f"{name}.{key}", described, schema, settings, shown, form, indent=indent)
    return "\n".join(lines) + "\n"


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for dotted, value in settings.items():
        *tables, key = dotted.split(".")
        place = nested
        for table in tables:
            place = place.setdefault(table, {})
        place[key] = value
    return nested


def _table(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """Return the schema of a table of keys, or None for a plain value or a list."""
    reference = described.get("$ref") or next((part.get("$ref") for part in described.get("allOf", ())), None)
    return None if reference is None else schema["$defs"][reference.rpartition("/")[2]]


def _inner_keys(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return key → schema of the tables that a list holds, or of a table that may be left out; else nothing."""
    for part in (described, *described.get("anyOf", ())):
        inner = _table(part.get("items", part), schema)
        if inner is not None:
            keys: Mapping[str, Any] = inner["properties"]
            return keys
    return {}


def _entry(
    dotted: str,
    described: Mapping[str, Any],
    schema: Mapping[str, Any],
    settings: Mapping[str, Any],
    shown: Mapping[str, Any],
    form: str,
    indent: str,
) -> list[str]:
    key = dotted.rpartition(".")[2]
    texts = [_explained(described)]
    texts += [f"{name}: {_explained(facts)}" for name, facts in _inner_keys(described, schema).items()]
    lines = [indent + line for text in texts for line in _comment(text)]
    if dotted in settings:
        return [*lines, indent + _pair(key, settings[dotted], form)]
    value = shown.get(dotted, described.get("default"))
    if value is None and described.get("type") == "object":
        value = {}
    return lines if value is None else [*lines, f"{indent}#{_pair(key, value, form)}"]


def _pair(key: str, value: Any, form: str) -> str:
    if form == "toml":
        return f"{key} = {_toml(value)}"
    return f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    # TOML's basic strings, numbers and booleans are written as JSON's, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _explained(described: Mapping[str, Any]) -> str:
    text = str(described.get("description", "")).strip()
    allowed = _allowed(described)
    return f"{text} Allowed: {allowed}." if allowed else text


def _allowed(described: Mapping[str, Any]) -> str:
    if "enum" in described:
        return " or ".join(json.dumps(value) for value in described["enum"])
    if "const" in described:
        return json.dumps(described["const"])
    bounds = []
    for name, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤")):
        for part in (described, *described.get("anyOf", ())):
            if name in part:
                bounds.append(f"{sign} {part[name]:g}")
    return " and ".join(bounds)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
