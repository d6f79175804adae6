"""Registries: name → spec → object, with third parties' entries beside the built-in ones.

Built-ins are looked up first and need no scan; installed plugins are scanned on a miss, or when all names are listed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, Optional, TypeVar, cast

from pyimgano.core.backends import absent_backends, backend_of
from pyimgano.core.errors import MissingDependencyError, PluginError, UnknownNameError
from pyimgano.core.names import few_names, unknown_name_hint
from pyimgano.core.plugins import (
    EntryPoint,
    PluginRecord,
    entry_points,
    forget_scan,
    installed,
    load_spec_plugin,
    resolve,
)
from pyimgano.core.specs import ComponentSpec, DatasetSpec, ModelSpec, RecipeSpec, Spec

__all__ = ["COMPONENTS", "DATASETS", "MODELS", "RECIPES", "Registered", "Registry", "forget_plugins"]

S = TypeVar("S", bound=Spec)


@dataclasses.dataclass(frozen=True)
class Registered(Generic[S]):
    """A spec and the distribution that offers it."""

    spec: S
    distribution: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The ``pip install`` commands of what the entry needs and is not installed."""
        return tuple(need.pip for need in self.spec.requires if not installed(need.module))

    def to_json(self) -> dict[str, Any]:
        """Return the spec's JSON form, its ``key`` and ``distribution``, and whether it is ``available`` as things are.

        When it is not, ``missing`` holds the commands that mend that.
        """
        missing = self.missing
        return {
            "key": self.spec.key,
            **self.spec.to_json(),
            "distribution": self.distribution,
            "available": not missing,
            "missing": list(missing),
        }


class Registry(Generic[S]):
    """The specs of one entry-point group.

    Parameters
    ----------
    group : str
        Entry-point group, e.g. ``"pyimgano.models"``.
    noun : str
        What one entry is called in messages, e.g. ``"model"``.
    """

    def __init__(self, group: str, noun: str) -> None:
        self.group = group
        self.noun = noun
        self._in_process: dict[str, Registered[S]] = {}
        self._builtin: Optional[tuple[PluginRecord, ...]] = None
        self._records: Optional[tuple[PluginRecord, ...]] = None
        self._all: dict[str, Registered[S]] = {}
        self._losers: dict[str, Registered[S]] = {}

    # -- reading -------------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._everything()))

    def entries(self) -> tuple[Registered[S], ...]:
        """Return all entries, sorted by name."""
        everything = self._everything()
        return tuple(everything[name] for name in sorted(everything))

    def beginning_with(self, text: str) -> list[tuple[str, str]]:
        """Return name and summary of the entries whose name begins with ``text``, sorted, as completion shows them."""
        return [(entry.spec.key, entry.spec.summary) for entry in self.entries() if entry.spec.key.startswith(text)]

    def records(self) -> tuple[PluginRecord, ...]:
        """Return what became of each entry point of the group, in order of precedence."""
        self._everything()
        return self._records or ()

    def get(self, name: str) -> Registered[S]:
        """Return the entry called ``name``; ``"<distribution>:<name>"`` reaches one that lost a conflict.

        Raises
        ------
        UnknownNameError
            When nothing has that name; it gives the nearest ones.
        MissingDependencyError
            When a distribution that is known to offer it is not installed.
        PluginError
            When a first-party distribution, which could offer it, is broken.
        """
        found = self._in_process.get(name) or self._builtin_specs().get(name)
        if found is not None:
            return found
        everything = self._everything()
        if name in everything:
            return everything[name]
        if name in self._losers:
            return self._losers[name]
        distribution, separator, plain = name.partition(":")
        if separator and plain in everything and everything[plain].distribution == distribution:
            return everything[plain]
        broken = [record for record in self.records() if record.status not in ("ok", "conflict")]
        optional = {backend.distribution for backend in absent_backends()}
        listing = f"pyimgano {self.noun}s list"
        hint = unknown_name_hint(name, everything, listing=listing) or ""
        for record in broken:
            if record.entry.distribution in optional:
                continue  # told of below, where it would help
            if record.status == "not-installed" or record.entry.third_party:
                fix = record.hint or ""
                hint += f"\n{record.entry.distribution} offers nothing: {record.message} ({fix})"
            else:
                raise PluginError(f"{record.entry.distribution}: {record.message}", hint=record.hint)
        backend = backend_of(model=name) if self.group == "pyimgano.models" else None
        if backend is not None:
            raise MissingDependencyError(
                f"the {self.noun} {name!r} comes with {backend.distribution}: {backend.absence}",
                hint=backend.pip if backend.runs_here else None,
            )
        allowed = few_names(everything, f"{self.noun}s")
        raise UnknownNameError(f"unknown {self.noun} {name!r}", allowed=allowed, hint=hint)

    def load(self, name: str) -> Any:
        """Return the object that the factory of ``name`` names.

        Raises
        ------
        UnknownNameError, MissingDependencyError, PluginError
            See :meth:`get` and :func:`pyimgano.core.plugins.resolve`.
        """
        spec = self.get(name).spec
        return resolve(spec.factory, requires=spec.requires, where=f"{self.noun} {name!r}")

    # -- writing -------------------------------------------------------------------------------------------------

    def register(self, spec: S, *, distribution: str = "in-process", replace: bool = False) -> None:
        """Add a spec for the life of this process.

        Registering the same spec twice is fine; another one under a taken name is refused unless ``replace``.
        """
        taken = self._in_process.get(spec.key) or self._builtin_specs().get(spec.key)
        if taken is not None and taken.spec != spec and not replace:
            raise PluginError(
                f"the {self.noun} {spec.key!r} is already registered by {taken.distribution}",
                hint="choose another name, or pass replace=True",
            )
        self._in_process[spec.key] = Registered(spec, distribution)

    def snapshot(self) -> dict[str, Registered[S]]:
        """Return what was registered in this process, for :meth:`restore`."""
        return dict(self._in_process)

    def restore(self, snapshot: dict[str, Registered[S]]) -> None:
        """Return to a :meth:`snapshot`."""
        self._in_process = dict(snapshot)

    def forget(self) -> None:
        """Load the plugins anew at the next use."""
        self._builtin = self._records = None
        self._all, self._losers = {}, {}

    # -- inside --------------------------------------------------------------------------------------------------

    def _builtin_records(self) -> tuple[PluginRecord, ...]:
        if self._builtin is None:
            self._builtin = tuple(load_spec_plugin(e) for e in entry_points(self.group, third_party=False))
        return self._builtin

    def _builtin_specs(self) -> dict[str, Registered[S]]:
        return {
            spec.key: Registered(cast(S, spec), record.entry.distribution)
            for record in self._builtin_records()
            for spec in record.specs
        }

    def _everything(self) -> dict[str, Registered[S]]:
        if self._records is None:
            known = {record.entry: record for record in self._builtin_records()}
            self._all, self._losers = {}, {}
            records = []
            for entry in entry_points(self.group):
                record = known.get(entry) or load_spec_plugin(entry)
                records.append(self._claim(entry, record))
            self._records = tuple(records)
        return {**self._all, **self._in_process}

    def _claim(self, entry: EntryPoint, record: PluginRecord) -> PluginRecord:
        """Give the record's specs their names, except those that are taken."""
        lost = []
        for spec in record.specs:
            registered = Registered(cast(S, spec), entry.distribution)
            if spec.key in self._all:
                lost.append(spec.key)
                self._losers[f"{entry.distribution}:{spec.key}"] = registered
            else:
                self._all[spec.key] = registered
        if not lost:
            return record
        owners = ", ".join(f"{key!r} belongs to {self._all[key].distribution}" for key in lost)
        return dataclasses.replace(
            record,
            status="conflict",
            message=owners,
            hint=f"reach it as {entry.distribution}:{lost[0]}",
            conflicts=tuple(lost),
        )


MODELS: Registry[ModelSpec] = Registry("pyimgano.models", "model")
RECIPES: Registry[RecipeSpec] = Registry("pyimgano.recipes", "recipe")
DATASETS: Registry[DatasetSpec] = Registry("pyimgano.datasets", "dataset")
COMPONENTS: Registry[ComponentSpec] = Registry("pyimgano.components", "component")


def forget_plugins() -> None:
    """Scan and load all plugins anew at the next use."""
    forget_scan()
    for registry in (MODELS, RECIPES, DATASETS, COMPONENTS):
        registry.forget()
