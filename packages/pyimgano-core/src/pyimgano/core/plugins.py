"""Discovery of what is plugged in; the single user of :mod:`importlib.metadata`.

Each distribution has one entry point per group, whose value is data (see :mod:`pyimgano.core.specs`). First-party
distributions are known by name (:data:`FIRST_PARTY`) and need no scan. Every other one is loaded alone: an error in one
is kept as a value in its :class:`PluginRecord` and hurts no other.

``PYIMGANO_PLUGINS`` switches third-party plugins off (``none``) or selects them by distribution
(``PYIMGANO_PLUGINS=dist-a,dist-b``).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from pyimgano.core.errors import MissingDependencyError, PluginError
from pyimgano.core.specs import API_VERSION, ComponentSpec, DatasetSpec, ModelSpec, RecipeSpec, Requirement, Spec

__all__ = [
    "FIRST_PARTY",
    "GROUPS",
    "EntryPoint",
    "PluginRecord",
    "entry_points",
    "failure_record",
    "find_distribution_version",
    "load_spec_plugin",
    "resolve",
]

GROUPS: dict[str, Optional[type[Spec]]] = {
    "pyimgano.models": ModelSpec,
    "pyimgano.recipes": RecipeSpec,
    "pyimgano.datasets": DatasetSpec,
    "pyimgano.components": ComponentSpec,
    "pyimgano.cli": None,
}
"""Entry-point group → type of the specs that its entries hold (None: commands)."""

_COMMANDS = "pyimgano.workbench.commands"

FIRST_PARTY: dict[str, tuple[tuple[str, str, str], ...]] = {
    "pyimgano.models": (
        ("pyimgano-anomalib", "pyimgano-anomalib", "pyimgano.anomalib.specs:MODELS"),
        ("pyimgano-models", "pyimgano-models", "pyimgano.models.specs:MODELS"),
        ("pyimgano-openclip", "pyimgano-openclip", "pyimgano.openclip.specs:MODELS"),
    ),
    "pyimgano.recipes": (("pyimgano-workbench", "pyimgano-workbench", "pyimgano.recipes.specs:RECIPES"),),
    "pyimgano.datasets": (("pyimgano-workbench", "pyimgano-workbench", "pyimgano.datasets.specs:DATASETS"),),
    "pyimgano.components": (
        ("pyimgano-models", "pyimgano-models", "pyimgano.models.specs:COMPONENTS"),
        ("pyimgano-openclip", "pyimgano-openclip", "pyimgano.openclip.specs:COMPONENTS"),
        ("pyimgano-workbench", "pyimgano-workbench", "pyimgano.workbench.specs:COMPONENTS"),
    ),
    "pyimgano.cli": (
        ("pyimgano-workbench", "demo", f"{_COMMANDS}.demo:demo"),
        ("pyimgano-workbench", "init", f"{_COMMANDS}.init:init"),
        ("pyimgano-workbench", "train", f"{_COMMANDS}.train:train"),
        ("pyimgano-workbench", "benchmark", f"{_COMMANDS}.benchmark:benchmark"),
        ("pyimgano-workbench", "robust-benchmark", f"{_COMMANDS}.robust_benchmark:robust_benchmark"),
        ("pyimgano-workbench", "infer", f"{_COMMANDS}.infer:infer"),
        ("pyimgano-workbench", "export", f"{_COMMANDS}.export:export"),
        ("pyimgano-workbench", "runs", f"{_COMMANDS}.runs:app"),
        ("pyimgano-workbench", "bundle", f"{_COMMANDS}.bundle:app"),
        ("pyimgano-workbench", "schema", f"{_COMMANDS}.schema:schema"),
        ("pyimgano-workbench", "datasets", f"{_COMMANDS}.datasets:app"),
        ("pyimgano-workbench", "augment", f"{_COMMANDS}.augment:app"),
        ("pyimgano-workbench", "synthesize", f"{_COMMANDS}.synthesize:synthesize"),
    ),
}
"""Group → (distribution, entry name, value) of the built-ins. A test holds it against the distributions' metadata."""


@dataclass(frozen=True, order=True)
class EntryPoint:
    """One entry point: who offers what under which name. Sorts first-party first, then by distribution and name."""

    third_party: bool
    distribution: str
    name: str
    value: str
    group: str


@dataclass(frozen=True)
class PluginRecord:
    """What became of one entry point.

    Attributes
    ----------
    status : str
        ``"ok"``; ``"not-installed"`` (a first-party distribution that is absent); ``"missing-dependency"`` (it needs a
        distribution that is not installed); ``"failed"`` (it is installed but broken); ``"incompatible"`` (written for
        another :data:`~pyimgano.core.specs.API_VERSION`); ``"conflict"`` (a name of it belongs to somebody else; the
        rest of it works).
    message, hint, traceback : str or None
        Why, what to do, and for ``"failed"`` the whole traceback.
    specs : tuple of Spec
        What it offers; empty unless the status is ``"ok"`` or ``"conflict"``.
    conflicts : tuple of str
        The names that it lost; each can still be reached as ``"<distribution>:<name>"``.
    """

    entry: EntryPoint
    status: str = "ok"
    message: Optional[str] = None
    hint: Optional[str] = None
    traceback: Optional[str] = None
    specs: tuple[Spec, ...] = field(default=())
    conflicts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON-friendly mapping."""
        return {
            "distribution": self.entry.distribution,
            "version": find_distribution_version(self.entry.distribution),
            "first_party": not self.entry.third_party,
            "group": self.entry.group,
            "name": self.entry.name,
            "value": self.entry.value,
            "status": self.status,
            "message": self.message,
            "hint": self.hint,
            "traceback": self.traceback,
            "offers": [spec.key for spec in self.specs],
            "conflicts": list(self.conflicts),
        }


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _selected(distribution: str) -> bool:
    choice = os.environ.get("PYIMGANO_PLUGINS")
    if choice is None or choice.strip().lower() == "all":
        return True
    return _normalise(distribution) in {_normalise(part.strip()) for part in choice.split(",")}


@functools.lru_cache(maxsize=1)
def _scan() -> tuple[EntryPoint, ...]:
    """Return all entry points of our groups that third parties installed, whether selected or not."""
    first_party = {dist for entries in FIRST_PARTY.values() for dist, _, _ in entries}
    if not _anything_plugged_in(first_party):
        return ()
    import importlib.metadata

    seen: set[str] = set()
    found = []
    for distribution in importlib.metadata.distributions():
        # Reading one small text is much cheaper than parsing every distribution's metadata for its name.
        text = distribution.read_text("entry_points.txt") or ""
        if "[pyimgano." not in text:
            continue
        name = _normalise(distribution.metadata["Name"] or "")
        if name in seen or name in first_party:  # the first on sys.path is the one that an import finds
            continue
        seen.add(name)
        for point in distribution.entry_points:
            if point.group in GROUPS:
                found.append(EntryPoint(True, name, point.name, point.value, point.group))
    return tuple(sorted(found))


def _anything_plugged_in(first_party: set[str]) -> bool:
    """Tell whether a scan could find anything: looking takes 2 ms, importing :mod:`importlib.metadata` takes 30."""
    for finder in sys.meta_path:
        if finder is not importlib.machinery.PathFinder and hasattr(finder, "find_distributions"):
            return True
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as items:
                names = [item.name for item in items if item.name.lower().endswith((".dist-info", "egg-info"))]
        except NotADirectoryError:  # an archive
            return True
        except OSError:
            continue
        for name in names:
            if _normalise(name.partition("-")[0]) in first_party:
                continue
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), "rb") as stream:
                    if b"[pyimgano." in stream.read():
                        return True
            except OSError:
                continue
    return False


def entry_points(group: str, *, third_party: bool = True) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group in their order of precedence: first-party, then by distribution and name."""
    known = [EntryPoint(False, dist, name, value, group) for dist, name, value in FIRST_PARTY[group]]
    if third_party and os.environ.get("PYIMGANO_PLUGINS", "").strip().lower() not in ("none", "off", "0"):
        known += [entry for entry in _scan() if entry.group == group and _selected(entry.distribution)]
    return tuple(known)


def forget_scan() -> None:
    """Scan anew at the next use; for tests and for processes that install plugins while they run."""
    _scan.cache_clear()


def find_distribution_version(distribution: str) -> Optional[str]:
    """Return the installed version of a distribution, or None."""
    import importlib.metadata

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def installed(module: str) -> bool:
    """Tell whether a module can be found, without importing it (its parent packages are imported)."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def resolve(value: str, *, requires: Sequence[Requirement] = (), where: Optional[str] = None) -> Any:
    """Import ``"package.module:attribute"``.

    Raises
    ------
    MissingDependencyError
        When a requirement is not installed; the hint is the command that installs it.
    PluginError
        When the module is installed but broken, or lacks the attribute.
    """
    for requirement in requires:
        if not installed(requirement.module):
            raise MissingDependencyError(f"needs {requirement.module!r}", where=where, hint=requirement.pip)
    module_name, _, attribute = value.partition(":")
    try:
        # Standard output is for data: what a stranger's module prints while it is imported goes to standard error.
        with contextlib.redirect_stdout(sys.stderr):
            target: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            target = getattr(target, part)
    except ModuleNotFoundError as error:
        for requirement in requires:
            if error.name == requirement.module:
                raise MissingDependencyError(f"needs {error.name!r}", where=where, hint=requirement.pip) from error
        if _lacks_own_module(module_name, error.name):
            raise _broken(error, where or value) from error
        raise MissingDependencyError(
            f"needs the module {error.name!r}, which is not installed",
            where=where or value,
            hint=f"pip install {_guess_distribution(error.name or '')}",
        ) from error
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything; the cause is kept
        raise _broken(error, where or value) from error
    return target


def _portion(module: str) -> str:
    """Return the package that a distribution owns: ``pyimgano.<portion>``, or the top-level package of a stranger."""
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] == "pyimgano" else parts[:1])


def _guess_distribution(module: str) -> str:
    """Return what pip is asked for when an undeclared module is missing."""
    portion = _portion(module)
    if portion in ("pyimgano.recipes", "pyimgano.datasets"):
        return "pyimgano-workbench"
    return portion.replace(".", "-")


def _lacks_own_module(module: str, missing: Optional[str]) -> bool:
    """Tell whether the ``missing`` module belongs to the package of ``module`` itself, so that pip cannot bring it.

    A whole portion of ``pyimgano`` that is missing is another matter: its distribution is not installed.
    """
    portion = _portion(module)
    own = missing == portion or (missing or "").startswith(portion + ".")
    return own and not (missing == portion and portion.startswith("pyimgano."))


def _broken(error: BaseException, where: str) -> PluginError:
    return PluginError(
        f"is installed but broken: {type(error).__name__}: {error}",
        where=where,
        hint="run `pyimgano plugins list --traceback` to see where it fails",
    )


def load_spec_plugin(entry: EntryPoint) -> PluginRecord:
    """Load the specs of one entry point; an error becomes part of the record."""
    expected = GROUPS[entry.group] or Spec
    try:
        specs = tuple(resolve(entry.value))
        for spec in specs:
            if not isinstance(spec, expected):
                raise PluginError(
                    f"holds a {type(spec).__name__}, not a {expected.__name__}",
                    where=f"{entry.distribution}: {entry.group} = {entry.value}",
                )
    except Exception as error:  # a stranger's sequence may raise anything while it is read
        return failure_record(entry, error)
    foreign = sorted({spec.api for spec in specs} - {API_VERSION})
    if foreign:
        return PluginRecord(
            entry,
            "incompatible",
            f"written for plugin API {foreign[0]}; this pyimgano has {API_VERSION}",
            f"install a release of {entry.distribution} for this pyimgano",
        )
    return PluginRecord(entry, "ok", specs=specs)


def _absence_record(entry: EntryPoint) -> PluginRecord:
    """Return the record of a first-party distribution that is not installed, with what a backend would add."""
    from pyimgano.core.backends import BACKENDS

    for backend in BACKENDS:
        if backend.distribution == entry.distribution:
            message = f"{entry.distribution}: {backend.absence}; it would add {', '.join(backend.adds)}"
            return PluginRecord(entry, "not-installed", message, backend.pip if backend.runs_here else None)
    message = f"{entry.distribution} is not installed"
    return PluginRecord(entry, "not-installed", message, f"pip install {entry.distribution}")


def failure_record(entry: EntryPoint, error: BaseException) -> PluginRecord:
    """Return the record of an entry point whose loading raised ``error`` (see :func:`resolve`)."""
    cause = error.__cause__ or error
    if isinstance(error, MissingDependencyError):
        portion = _portion(entry.value.partition(":")[0])
        if not entry.third_party and isinstance(cause, ModuleNotFoundError) and portion == cause.name:
            return _absence_record(entry)
        return PluginRecord(entry, "missing-dependency", error.message, error.hint)
    if entry.third_party:
        hint = f"report it to the authors of {entry.distribution}, or switch it off with PYIMGANO_PLUGINS"
    else:
        hint = f"pip install --force-reinstall {entry.distribution}"
    trace = "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    message = cause.message if isinstance(cause, PluginError) else f"{type(cause).__name__}: {cause}"
    return PluginRecord(entry, "failed", message, hint, trace)
