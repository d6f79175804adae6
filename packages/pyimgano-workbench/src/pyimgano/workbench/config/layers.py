"""Layers of settings: preset, file, ``--set``, flags. A later one wins, key by key, and each knows its places."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.config.places import KeyPath, Positions, read_config_file

__all__ = [
    "PATHS",
    "TABLES_OF_PATHS",
    "Layer",
    "file_layer",
    "flag_layer",
    "merge",
    "paths_in",
    "setting_layer",
    "setting_value",
]

FLAGS = {
    "dataset.root": "--dataset",
    "model.name": "--model",
    "preset": "--preset",
    "seed": "--seed",
    "output.dir": "--output",
}
"""Key → the option of `train` that sets it, for messages."""

PATHS = (
    ("dataset", "root"),
    ("output", "dir"),
    ("recipe_params", "start_from"),
    ("recipe_params", "defect_bank"),
    ("postprocess", "roi"),
)
"""Keys that hold a path: relative to the file that they stand in."""

TABLES_OF_PATHS = (("postprocess", "roi"),)
"""Of these, those that may hold a table of paths instead."""


@dataclass(frozen=True)
class Layer:
    """Settings from one source.

    Attributes
    ----------
    data : dict
        Nested, as given; paths are absolute.
    source : str
        The file, or the option as it was typed.
    positions : dict
        Path of each key → (line, column); empty for options.
    """

    data: dict[str, Any]
    source: str
    positions: Positions = field(default_factory=dict)

    def place(self, path: KeyPath) -> Optional[str]:
        """Return where ``path`` is set in this layer, as ``file:line:column`` or as the option's text, or None."""
        node: Any = self.data
        for part in path:
            if isinstance(node, Mapping) and part in node:
                node = node[part]
            elif isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                return None
        if not self.positions:
            return self.source
        for length in range(len(path), 0, -1):  # an element of a list may have no place of its own
            if path[:length] in self.positions:
                line, column = self.positions[path[:length]]
                return f"{self.source}:{line}:{column}"
        return self.source


def _absolute(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make the paths of a layer absolute; ``~`` is the home folder."""
    for section, key in PATHS:
        table = data.get(section)
        if not isinstance(table, dict):
            continue
        value = table.get(key)
        if isinstance(value, str) and value:
            data = {**data, section: {**table, key: _joined(base, value)}}
        elif isinstance(value, dict) and (section, key) in TABLES_OF_PATHS:
            paths = {name: _joined(base, value[name]) for name in paths_in(value)}
            data = {**data, section: {**table, key: {**value, **paths}}}
    return data


def paths_in(table: Mapping[str, Any]) -> list[str]:
    """Return the keys of a table that hold a path; a table of polygons (``postprocess.roi``) holds none."""
    polygons = table.get("polygons")
    if polygons is not None and not isinstance(polygons, (str, Mapping)):
        return []
    return [name for name, value in table.items() if isinstance(value, str) and value]


def _joined(base: Path, path: str) -> str:
    return os.path.normpath(base / Path(path).expanduser())


def file_layer(path: Path) -> Layer:
    """Read a config file; relative paths in it are relative to the folder that it lies in."""
    data, positions = read_config_file(path)
    # The real folder, since that is what relative paths in a run's config.json were computed from.
    return Layer(_absolute(data, Path(os.path.realpath(path)).parent), str(path), positions)


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


def setting_layer(setting: str) -> Layer:
    """Read one ``--set a.b=value``: the value is JSON, and text where it is not; paths are relative to here.

    Raises
    ------
    ConfigError
        When it has no ``=`` or an empty key.
    """
    key, separator, text = setting.partition("=")
    if not separator or not all(part.strip() for part in key.split(".")):
        raise ConfigError(
            f"{setting!r} is not key=value",
            where=f"--set {setting}",
            allowed="a key of the config with dots between its parts, '=', and a value in JSON (or plain text)",
            hint="for example: --set calibration.alpha=0.01",
        )
    return Layer(_absolute(_nested(key.strip(), setting_value(text)), Path.cwd()), f"--set {setting}")


def setting_value(text: str) -> Any:
    """Return the value of a setting: JSON, and text where it is not."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def flag_layer(key: str, value: Any) -> Layer:
    """Make the layer of one flag, or of one keyword of :func:`~pyimgano.workbench.config.load_run_config`."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return Layer(_absolute(_nested(key, value), Path.cwd()), FLAGS.get(key, key))


def merge(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge nested mappings; a later value wins, tables are merged key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(below, dict) and isinstance(value, dict):
                merged[key] = merge((below, value))
            else:
                merged[key] = merge((value,)) if isinstance(value, dict) else value
    return merged
