"""Reading a config file, and the line and column of each of its keys.

JSON, TOML (``tomllib``) and YAML by the rules of YAML 1.2 (``ruamel.yaml``: ``1e-3`` is a number, ``on`` is text).
"""

from __future__ import annotations

import json
import re
import sys
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, Union

from pyimgano.core.errors import ConfigError, MissingDependencyError

__all__ = ["SUFFIXES", "KeyPath", "Positions", "read_config_file"]

KeyPath = tuple[Union[str, int], ...]
Positions = dict[KeyPath, tuple[int, int]]
"""Path of a key → (line, column), both counted from 1."""

SUFFIXES = (".json", ".toml", ".yaml", ".yml")


def read_config_file(path: Path) -> tuple[dict[str, Any], Positions]:
    """Read a config file.

    Returns
    -------
    data : dict
        As written: nothing is validated yet.
    positions : dict
        Path of each key → its line and column.

    Raises
    ------
    ConfigError
        When the file is missing, is of another kind, or has a syntax error; it names the line and column.
    MissingDependencyError
        When it is YAML and ``ruamel.yaml`` is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"cannot tell its format from {path.suffix!r}", where=str(path), allowed=", ".join(SUFFIXES))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        hint = "pyimgano init DATASET writes one" if isinstance(error, FileNotFoundError) else None
        raise ConfigError(f"cannot read: {error.strerror or error}", where=str(path), hint=hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text: {error.reason}", where=str(path)) from error
    if suffix == ".json":
        data, positions = _read_json(text, path)
    elif suffix == ".toml":
        data, positions = _read_toml(text, path)
    else:
        data, positions = _read_yaml(text, path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"holds a {type(data).__name__}, not a table of keys", where=f"{path}:1:1")
    return data, positions


def _line_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


# -- JSON ------------------------------------------------------------------------------------------------------------


def _read_json(text: str, path: Path) -> tuple[Any, Positions]:
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}:{error.colno}") from error
    except ValueError as error:
        raise ConfigError(f"not valid JSON: {error}", where=str(path)) from error
    positions: Positions = {}
    _walk_json(text, _skip_space(text, 0), (), positions, path)
    return data, positions


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _walk_json(text: str, at: int, prefix: KeyPath, positions: Positions, path: Path) -> int:
    """Record where the keys of the value at ``at`` stand, and return the offset behind it. The text is valid JSON."""
    if text[at] == '"':
        return int(scanstring(text, at + 1, True)[1])
    if text[at] not in "{[":
        return re.compile(r"[^\s,\]}]*").match(text, at).end()  # type: ignore[union-attr]
    is_object = text[at] == "{"
    at = _skip_space(text, at + 1)
    index = 0
    while text[at] not in "}]":
        start = at
        key: Union[str, int] = index
        if is_object:
            key, at = scanstring(text, at + 1, True)
            at = _skip_space(text, _skip_space(text, at) + 1)
        here = (*prefix, key)
        line, column = _line_column(text, start)
        if here in positions:
            first = positions[here][0]
            raise ConfigError(
                f"the key {key!r} stands there twice, first in line {first}", where=f"{path}:{line}:{column}"
            )
        positions[here] = (line, column)
        at = _skip_space(text, _walk_json(text, at, here, positions, path))
        if text[at] == ",":
            at = _skip_space(text, at + 1)
        index += 1
    return at + 1


# -- TOML ------------------------------------------------------------------------------------------------------------


def _read_toml(text: str, path: Path) -> tuple[Any, Positions]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        message = re.sub(r" \(at .*\)$", "", str(error))
        where = f"{path}:{place[1]}:{place[2]}" if place else str(path)
        raise ConfigError(f"not valid TOML: {message}", where=where, hint='text needs quotes: key = "text"') from error
    return data, _Toml(text).positions()


_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Toml:
    """Finds the keys of a text that is known to be valid TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: Positions = {}
        self.arrays: dict[KeyPath, int] = {}

    def positions(self) -> Positions:
        table: KeyPath = ()
        while self._skip_blank():
            start = self.at
            if self.text[self.at] == "[":
                is_array = self.text.startswith("[[", self.at)
                self.at += 2 if is_array else 1
                table = self._resolve(self._key())
                self.at += 2 if is_array else 1
                if is_array:
                    self.arrays[table] = self.arrays.get(table, -1) + 1
                    table = (*table, self.arrays[table])
                self._record(table, start)
            else:
                self._pair(table)
        return self.found

    def _resolve(self, key: KeyPath) -> KeyPath:
        """Insert the index of the current element after each part that is an array of tables."""
        path: KeyPath = ()
        for number, part in enumerate(key):
            path = (*path, part)
            if number < len(key) - 1 and path in self.arrays:
                path = (*path, self.arrays[path])
        return path

    def _record(self, path: KeyPath, offset: int) -> None:
        for length in range(1, len(path) + 1):
            self.found.setdefault(path[:length], _line_column(self.text, offset))

    def _skip_blank(self, newlines: bool = True) -> bool:
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif character in " \t" or (newlines and character == "\n"):
                self.at += 1
            else:
                return True
        return False

    def _key(self) -> KeyPath:
        parts: list[Union[str, int]] = []
        while True:
            self._skip_blank(newlines=False)
            if self.text[self.at] in "\"'":
                start = self.at
                self._string()
                raw = self.text[start : self.at]
                parts.append(json.loads(raw) if raw[0] == '"' and "\\" in raw else raw[1:-1])
            else:
                match = _BARE.match(self.text, self.at)
                assert match is not None
                parts.append(match[0])
                self.at = match.end()
            self._skip_blank(newlines=False)
            if not self.text.startswith(".", self.at):
                return tuple(parts)
            self.at += 1

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        path = (*table, *self._key())
        self._record(path, start)
        self.at += 1  # =
        self._skip_blank()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._string()
        elif opening in "[{":
            self.at += 1
            index = 0
            while self._skip_blank() and self.text[self.at] not in "]}":
                if opening == "{":
                    self._pair(path)
                else:
                    self._record((*path, index), self.at)
                    self._value((*path, index))
                    index += 1
                self._skip_blank()
                if self.text[self.at] == ",":
                    self.at += 1
            self.at += 1
        else:
            self.at = re.compile(r"[^,\]}#\n]*").match(self.text, self.at).end()  # type: ignore[union-attr]

    def _string(self) -> None:
        quote = self.text[self.at]
        triple = quote * 3
        mark = triple if self.text.startswith(triple, self.at) else quote
        self.at += len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(mark)
        while mark == triple and self.text.startswith(quote, self.at):  # up to two quotes may stand before the end
            self.at += 1


# -- YAML ------------------------------------------------------------------------------------------------------------


def _read_yaml(text: str, path: Path) -> tuple[Any, Positions]:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.nodes import MappingNode, SequenceNode
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "a YAML config needs 'ruamel.yaml'", where=str(path), hint='pip install "pyimgano-workbench[yaml]"'
        ) from error
    try:
        data = YAML(typ="safe", pure=True).load(text)
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(f"not valid YAML: {error.problem or error.context}", where=where) from error
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path)) from error
    positions: Positions = {}

    def walk(node: Any, prefix: KeyPath, above: tuple[int, ...]) -> None:
        if id(node) in above:  # an alias that holds itself
            raise ConfigError("an alias refers to what it stands in", where=str(path))
        above = (*above, id(node))
        if isinstance(node, MappingNode):
            for key, value in node.value:
                positions[(*prefix, str(key.value))] = (key.start_mark.line + 1, key.start_mark.column + 1)
                walk(value, (*prefix, str(key.value)), above)
        elif isinstance(node, SequenceNode):
            for index, value in enumerate(node.value):
                positions[(*prefix, index)] = (value.start_mark.line + 1, value.start_mark.column + 1)
                walk(value, (*prefix, index), above)

    if root is not None:
        walk(root, (), ())
    return data, positions
