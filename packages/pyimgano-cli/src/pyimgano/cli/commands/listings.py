"""What is plugged in, as tables, names and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from pyimgano.cli.output import print_json, print_message, print_names, print_table, stdout_reserved
from pyimgano.core.backends import Backend, absent_backends
from pyimgano.core.errors import UnknownNameError
from pyimgano.core.plugins import GROUPS, PluginRecord
from pyimgano.core.registry import COMPONENTS, DATASETS, MODELS, RECIPES, Registered, Registry
from pyimgano.core.specs import ModelSpec, Requirement, Spec

__all__ = ["REGISTRIES", "plugin_records", "print_listing", "print_plugins", "searchable_tags"]

REGISTRIES: dict[str, Registry[Any]] = {
    "model": MODELS,
    "recipe": RECIPES,
    "dataset": DATASETS,
    "component": COMPONENTS,
}


def print_listing(noun: str, *, tags: Sequence[str] = (), as_json: bool = False, names_only: bool = False) -> None:
    """Print the entries of a registry, or the plugins.

    Parameters
    ----------
    noun : {"model", "recipe", "dataset", "component", "plugin"}
        What to list.
    tags : sequence of str
        Only entries that have all of them; a component's kind counts as one.
    as_json, names_only : bool
        A JSON array, or one name per line, in place of the table. The array also holds the models of backends that are
        not installed, as not ``available``.

    Raises
    ------
    UnknownNameError
        When no entry has one of the ``tags``.
    """
    if noun == "plugin":
        print_plugins(as_json=as_json, names_only=names_only)
        return
    with stdout_reserved():
        entries = REGISTRIES[noun].entries()
    known = {tag for entry in entries for tag in searchable_tags(entry.spec)}
    for tag in tags:
        if tag not in known:
            raise UnknownNameError(f"no {noun} has the tag {tag!r}", where="--tag", allowed=sorted(known))
    chosen = [entry for entry in entries if set(tags) <= set(searchable_tags(entry.spec))]
    absent = () if tags else absent_backends()
    if as_json:
        print_json([entry.to_json() for entry in chosen] + _absent_entries(noun, absent))
    elif names_only:
        print_names([entry.spec.key for entry in chosen])
    else:
        print_table((noun, "summary", "tags", "needs"), [_row(entry) for entry in chosen])
    for backend in absent:
        if _adds(noun, backend):
            message = f"{backend.distribution} ({backend.absence}) would add {', '.join(_adds(noun, backend))}"
            print_message("note", message, hint=backend.pip if backend.runs_here else None)
    optional = {backend.distribution for backend in absent_backends()}
    for record in REGISTRIES[noun].records():
        if record.status not in ("ok", "conflict") and record.entry.distribution not in optional:
            message = f"{record.entry.distribution} offers no {noun}s: {record.message}"
            print_message("warning", message, hint=None if record.entry.third_party else record.hint)


def _adds(noun: str, backend: Backend) -> tuple[str, ...]:
    """Return what of a listing's kind a backend that is not installed would add."""
    if noun == "model":
        return backend.adds
    return tuple(f"features/{library}" for library in backend.backbones) if noun == "component" else ()


def _absent_entries(noun: str, absent: Sequence[Backend]) -> list[dict[str, Any]]:
    """Return entries of the models that backends would add, as far as they are known by name."""
    if noun != "model":
        return []
    entries = []
    for backend in absent:
        need = Requirement(backend.package, backend.distribution)
        for name in backend.models:
            if not name.endswith("-"):
                spec = ModelSpec(name, f"comes with {backend.distribution}: {backend.absence}", "", requires=(need,))
                entries.append({**Registered(spec, backend.distribution).to_json(), "available": False})
    return entries


def searchable_tags(spec: Spec) -> tuple[str, ...]:
    """Return what ``--tag`` finds a spec by: its tags, and the kind of a component."""
    kind: Optional[str] = getattr(spec, "kind", None)
    return spec.tags if kind is None else (*spec.tags, kind)


def _row(entry: Registered[Any]) -> tuple[str, ...]:
    needs = ", ".join(entry.missing)
    return entry.spec.key, entry.spec.summary, " ".join(entry.spec.tags) or "-", needs or "-"


def plugin_records() -> tuple[PluginRecord, ...]:
    """Load everything that is plugged in, each alone, and return what became of it, in order of precedence."""
    from pyimgano.cli.discovery import command_records

    with stdout_reserved():
        records = [record for registry in REGISTRIES.values() for record in registry.records()]
        records += command_records()
    order = list(GROUPS)
    return tuple(
        sorted(records, key=lambda r: (r.entry.third_party, r.entry.distribution, order.index(r.entry.group), r.entry))
    )


def print_plugins(*, as_json: bool = False, names_only: bool = False, traceback: bool = False) -> None:
    """Print what became of every entry point.

    Parameters
    ----------
    as_json : bool
        One JSON object per entry point, with everything that is known.
    names_only : bool
        The distributions, one per line.
    traceback : bool
        Below the table, the tracebacks of those that failed.
    """
    records = plugin_records()
    if as_json:
        print_json([record.to_json() for record in records])
        return
    if names_only:
        print_names(list(dict.fromkeys(record.entry.distribution for record in records)))
        return
    print_table(("distribution", "offers", "status", "what"), _plugin_rows(records))
    if traceback:
        from pyimgano.cli.output import print_text

        for record in records:
            if record.traceback:
                print_text(f"\n{record.entry.distribution}: {record.entry.group} = {record.entry.value}")
                print_text(record.traceback.rstrip())


def _plugin_rows(records: Sequence[PluginRecord]) -> list[tuple[str, ...]]:
    """Return one row per entry point; the commands of one distribution that are well share a row."""
    rows: dict[Any, list[str]] = {}
    for record in records:
        entry = record.entry
        offers = "commands" if GROUPS[entry.group] is None else entry.group.partition(".")[2]
        well = record.status == "ok"
        if not well:
            what = f"{entry.name}: {record.message}" if GROUPS[entry.group] is None else str(record.message)
            what += f" ({record.hint})" if record.hint else ""
        else:
            what = entry.name if GROUPS[entry.group] is None else ", ".join(spec.key for spec in record.specs)
        key = (entry.distribution, offers, record.status) if well else record
        rows.setdefault(key, [entry.distribution, offers, record.status, ""])
        rows[key][3] = f"{rows[key][3]}, {what}" if rows[key][3] else what
    return [tuple(" ".join(cell.split()) for cell in row) for row in rows.values()]
