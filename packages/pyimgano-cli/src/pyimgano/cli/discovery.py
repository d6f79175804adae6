"""The commands: which there are, whose they are, and what became of loading one.

A name belongs to this package first, then to the first-party distributions, then to third parties in the order of their
distributions' names. Who loses a name is reported, and can be typed as ``<distribution>:<name>``.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any, Optional

from pyimgano.cli.output import stdout_reserved
from pyimgano.core.errors import MissingDependencyError, PluginError, PyimganoError
from pyimgano.core.plugins import EntryPoint, PluginRecord, entry_points, failure_record, resolve

__all__ = ["GROUP", "Commands", "command_records", "find_commands", "load_command", "summary_of"]

GROUP = "pyimgano.cli"
DISTRIBUTION = "pyimgano-cli"

_OWN = {
    "models": "pyimgano.cli.commands.catalogue:models",
    "recipes": "pyimgano.cli.commands.catalogue:recipes",
    "components": "pyimgano.cli.commands.catalogue:components",
    "plugins": "pyimgano.cli.commands.plugins:app",
    "doctor": "pyimgano.cli.commands.doctor:doctor",
    "cache": "pyimgano.cli.commands.cache:app",
    "completion": "pyimgano.cli.commands.completion:completion",
}

PANELS = {
    "Workflow": (
        "demo",
        "init",
        "synthesize",
        "train",
        "benchmark",
        "robust-benchmark",
        "infer",
        "runs",
        "export",
        "bundle",
    ),
    "Catalogue": ("models", "recipes", "datasets", "augment", "components", "plugins"),
    "Environment": ("doctor", "cache", "schema", "completion"),
}
"""Title in ``--help`` → first-party commands below it, in the order in which they are met; the rest comes last."""


@dataclasses.dataclass(frozen=True)
class Commands:
    """All commands that are plugged in.

    Attributes
    ----------
    owners : dict of str to EntryPoint
        Name → the entry point that has it, in the order of ``--help``.
    losers : tuple of EntryPoint
        Those whose name belongs to somebody else.
    """

    owners: dict[str, EntryPoint]
    losers: tuple[EntryPoint, ...]

    def get(self, name: str) -> Optional[EntryPoint]:
        """Return the entry point of ``name`` or of ``"<distribution>:<name>"``, or None."""
        if name in self.owners:
            return self.owners[name]
        distribution, _, plain = name.partition(":")
        for entry in (*self.owners.values(), *self.losers):
            if (entry.distribution, entry.name) == (distribution, plain):
                return entry
        return None

    def panel(self, name: str) -> str:
        """Return the title below which ``--help`` shows a command."""
        if not self.owners[name].third_party:
            for title, names in PANELS.items():
                if name in names:
                    return title
        return "Plugins" if self.owners[name].third_party else "Commands"


@functools.lru_cache(maxsize=1)
def find_commands() -> Commands:
    """Return all commands; imports none of them."""
    own = [EntryPoint(False, DISTRIBUTION, name, value, GROUP) for name, value in _OWN.items()]
    owners: dict[str, EntryPoint] = {}
    losers = []
    for entry in (*own, *entry_points(GROUP)):
        if entry.name in owners:
            losers.append(entry)
        else:
            owners[entry.name] = entry
    shown = [name for names in PANELS.values() for name in names]
    order = {name: index for index, name in enumerate(shown)}
    names = sorted(owners, key=lambda name: (owners[name].third_party, order.get(name, len(order)), name))
    return Commands({name: owners[name] for name in names}, tuple(losers))


def load_command(entry: EntryPoint) -> Any:
    """Return the function or ``typer.Typer`` of a command.

    Raises
    ------
    MissingDependencyError, PluginError
        When it cannot be loaded; the hint is what to type.
    """
    try:
        with stdout_reserved():
            target = resolve(entry.value)
        if not callable(target):
            raise PluginError(f"holds a {type(target).__name__}, not a function or a typer.Typer")
    except PyimganoError as error:
        record = failure_record(entry, error)
        where = f"command {entry.name!r} of {entry.distribution}"
        if record.status == "not-installed":
            raise MissingDependencyError(
                f"the command {entry.name!r} needs {entry.distribution}, which is not installed", hint=record.hint
            ) from error
        if record.status == "missing-dependency":
            raise MissingDependencyError(record.message or "", where=where, hint=record.hint) from error
        hint = f"{record.hint}\n`pyimgano plugins list --traceback` shows where it fails"
        raise PluginError(f"is installed but broken: {record.message}", where=where, hint=hint) from error
    return target


def command_records() -> tuple[PluginRecord, ...]:
    """Import every command, each alone, and return what became of it."""
    commands = find_commands()
    return tuple(_record(entry, commands) for entry in sorted((*commands.owners.values(), *commands.losers)))


def _record(entry: EntryPoint, commands: Commands) -> PluginRecord:
    try:
        load_command(entry)
    except PyimganoError as error:
        return failure_record(entry, error.__cause__ or error)
    owner = commands.owners[entry.name]
    if owner == entry:
        return PluginRecord(entry)
    return PluginRecord(
        entry,
        "conflict",
        f"{entry.name!r} belongs to {owner.distribution}",
        f"reach it as {entry.distribution}:{entry.name}",
        conflicts=(entry.name,),
    )


def summary_of(entry: EntryPoint) -> str:
    """Return the first sentence of a command's help, or in one line why the command is not available."""
    try:
        target = load_command(entry)
    except PyimganoError as error:
        record = failure_record(entry, error.__cause__ or error)
        if record.status in ("not-installed", "missing-dependency"):
            return f"not available: {record.message} ({record.hint})"
        return f"not available: {record.message}".splitlines()[0]
    info = getattr(target, "info", None)  # a typer.Typer
    text = _text(getattr(info, "short_help", None)) or _text(getattr(info, "help", None))
    if not text:
        callback = getattr(getattr(target, "registered_callback", None), "callback", None)
        text = inspect.getdoc(target if info is None else callback) or ""
    return " ".join(text.split("\f")[0].strip().split("\n\n")[0].split())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
