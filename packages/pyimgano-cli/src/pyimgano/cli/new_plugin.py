"""A plugin to start from: the distribution under ``examples/plugin-template``, under a name of the user's own.

The template's files lie in ``plugin_template.json`` (path → lines), written from the example by
``tools/write_plugin_template.py``: as files they would be modules of this package, with tests and imports that it must
not have.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from pyimgano.cli.discovery import find_commands
from pyimgano.core.errors import ConfigError
from pyimgano.core.files import atomic_folder, load_json
from pyimgano.core.plugins import FIRST_PARTY

__all__ = ["TEMPLATE", "plugin_files", "write_plugin"]

TEMPLATE = "plugin-template"
"""The name that the template's distribution, module, specs and command have."""

_FILES = Path(__file__).with_name("plugin_template.json")
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_ALLOWED = "lower case words and digits joined by '-', beginning with a letter, e.g. bolt-check"


def plugin_files(name: str) -> dict[str, str]:
    """Return the files of a plugin called ``name``: path relative to its folder, with ``/``, and text."""

    def renamed(text: str) -> str:
        return text.replace(TEMPLATE, name).replace(_module(TEMPLATE), _module(name))

    files = load_json(_FILES)["files"]
    return {renamed(path): renamed("\n".join(lines)) for path, lines in files.items()}


def _module(name: str) -> str:
    return name.replace("-", "_")


def write_plugin(name: str, parent: Path) -> Path:
    """Write a plugin called ``name`` into ``parent / name``, whole or not at all, and return that folder.

    Raises
    ------
    ConfigError
        When the name cannot be that of a distribution, a module and a command, or the folder is not empty.
    StorageError
        When it cannot be written.
    """
    _check_name(name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            "is there already", where=str(folder), hint="choose another name, or another folder by --output"
        )
    with atomic_folder(folder) as temporary:
        for path, text in plugin_files(name).items():
            file = temporary / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8"))  # with the line endings of the template on every system
    return folder


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(_module(name)):
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        usable = _NAME.fullmatch(plain) and not keyword.iskeyword(_module(plain))
        hint = f"pyimgano plugins new {plain}" if usable else None
        raise ConfigError("cannot be the name of a plugin", where=repr(name), allowed=_ALLOWED, hint=hint)
    first_party = {"pyimgano"} | {distribution for entries in FIRST_PARTY.values() for distribution, _, _ in entries}
    if name in first_party:
        raise ConfigError("is a package of pyimgano itself", where=repr(name), hint="for example: bolt-check")
    if name in find_commands().owners:
        owner = find_commands().owners[name].distribution
        raise ConfigError(
            f"is a command of {owner}, and the plugin's command has its name",
            where=repr(name),
            hint=f"for example: acme-{name}",
        )
    if importlib.util.find_spec(_module(name)) is not None:
        raise ConfigError(
            f"the module {_module(name)!r} is installed already, and the plugin would hide it or be hidden",
            where=repr(name),
            hint=f"for example: acme-{name}",
        )
