"""The plugin contract: what an installed distribution that extends pyimgano must keep to."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator

from pyimgano.core.plugins import GROUPS, PluginRecord, entry_points, forget_scan, installed, load_spec_plugin, resolve
from pyimgano.core.specs import COMPONENT_KINDS, ComponentSpec, ModelSpec, Spec

__all__ = ["HEAVY_MODULES", "check_plugin", "heavy_imports", "plugin_records", "spec_problems"]

HEAVY_MODULES = ("numpy", "torch", "cv2", "sklearn", "scipy", "pyod", "pydantic", "timm", "anomalib", "open_clip")
"""What a module that holds specs must not import: listings load it."""

_NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")


def plugin_records(distribution: str) -> Iterator[PluginRecord]:
    """Yield what became of each entry point of a distribution; those of commands are not loaded."""
    forget_scan()
    for group in GROUPS:
        for entry in entry_points(group):
            if entry.distribution == distribution:
                yield load_spec_plugin(entry) if GROUPS[group] else PluginRecord(entry)


def check_plugin(distribution: str) -> list[str]:
    """Check what an installed plugin says of itself; :func:`run_plugin_checks` also checks what it does.

    Parameters
    ----------
    distribution : str
        Its normalised name, e.g. ``"acme-inspect"``.

    Returns
    -------
    list of str
        What is wrong, one sentence each; empty when all is well.
    """
    problems: list[str] = []
    records = list(plugin_records(distribution))
    if not records:
        return [f"{distribution} has no entry point in {', '.join(GROUPS)} (installed? PYIMGANO_PLUGINS?)"]
    for record in records:
        place = f"{record.entry.group} = {record.entry.value}"
        if record.status != "ok":
            problems.append(f"{place}: {record.status}: {record.message} ({record.hint})")
            continue
        if record.entry.group == "pyimgano.cli":
            if not callable(resolve(record.entry.value)):
                problems.append(f"{place}: is neither a function nor a typer.Typer")
            continue
        problems += heavy_imports(record.entry.value)
        for spec in record.specs:
            found = [*spec_problems(spec), *_factory_problems(spec)]
            problems += [f"{place}: {spec.name}: {problem}" for problem in found]
    return problems


def heavy_imports(value: str) -> list[str]:
    """Return what is wrong with the imports of the module of an entry point's value, found in a fresh process."""
    module = value.partition(":")[0]
    code = f"import sys, {module}; print(*(m for m in {HEAVY_MODULES!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [f"{module} does not import: {done.stderr.strip().splitlines()[-1]}"]
    heavy = done.stdout.split()
    return (
        [f"{module} imports {', '.join(heavy)}; listings load it, so import these where they are used"] if heavy else []
    )


def spec_problems(spec: Spec) -> Iterator[str]:
    """Yield what is wrong with a spec that can be told without its factory."""
    if not _NAME.fullmatch(spec.name):
        yield f"the name {spec.name!r}: a name is lower case words joined by '-'"
    if not spec.summary or "\n" in spec.summary:
        yield "a summary is one line"
    if isinstance(spec, ComponentSpec) and spec.kind not in COMPONENT_KINDS:
        yield f"unknown kind {spec.kind!r}; allowed: {', '.join(COMPONENT_KINDS)}"


def _factory_problems(spec: Spec) -> Iterator[str]:
    missing = [requirement.module for requirement in spec.requires if not installed(requirement.module)]
    if missing:
        yield f"cannot be checked further: {', '.join(missing)} not installed"
        return
    factory = resolve(spec.factory, requires=spec.requires, where=spec.name)
    if not callable(factory):
        yield f"its factory {spec.factory} is not callable"
    elif isinstance(spec, (ModelSpec, ComponentSpec)):
        kinds = [parameter.kind for parameter in inspect.signature(factory).parameters.values()]
        if inspect.Parameter.VAR_KEYWORD in kinds:
            yield "its factory takes **kwargs, so typing errors in parameters cannot be found"
