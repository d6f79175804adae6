"""Suites: which registered models a benchmark takes when it is told the name of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from pyimgano.core.errors import UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.registry import MODELS
from pyimgano.core.specs import ModelSpec

__all__ = ["SUITES", "Skipped", "SuiteEntry", "suite_entries"]

SUITES: Mapping[str, str] = {
    "classical": "models with the tag classical, but the deep ones of PyOD",
    "cpu": "classical, the same on patches of the embedded backbone, and deep models that need no training",
    "all": "every registered model",
}
"""Name → what is in it."""

_PATCHES: Mapping[str, Any] = {"features": "embedding", "level": "patch"}
PATCH_LEVEL: Mapping[str, Mapping[str, Any]] = {
    "sklearn-gaussian": _PATCHES,
    "sklearn-gaussian-mixture": {**_PATCHES, "n_components": 5},
    "sklearn-nearest-neighbors": {**_PATCHES, "steps": [], "max_patches": 15_000},
    "sklearn-pca": _PATCHES,
}
"""Models of the suites ``cpu`` and ``all`` that run at the level of patches as well, and how."""


@dataclass(frozen=True)
class SuiteEntry:
    """One model of a suite.

    Attributes
    ----------
    label : str
        What its rows are called: the model's name, with ``@patch`` behind it at the level of patches.
    model : str
        Registered name.
    params : mapping
        Parameters that are not the defaults.
    """

    label: str
    model: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A model of a suite that cannot run here.

    Attributes
    ----------
    model : str
        Its label.
    reason : str
        Why, and what to type.
    """

    model: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON-friendly mapping."""
        return {"model": self.model, "reason": self.reason}


def suite_entries(name: str) -> tuple[list[SuiteEntry], list[Skipped]]:
    """Return the models of a suite that can run as things are, and those that cannot, each sorted by label.

    Nothing heavy is imported.

    Raises
    ------
    UnknownNameError
        When there is no suite of that name.
    """
    if name not in SUITES:
        raise UnknownNameError(
            f"unknown suite {name!r}", where="--suite", allowed=", ".join(SUITES), hint=unknown_name_hint(name, SUITES)
        )
    entries: list[SuiteEntry] = []
    skipped: list[Skipped] = []
    for registered in MODELS.entries():
        spec = registered.spec
        if not _belongs(name, spec):
            continue
        reason = _reason(spec, registered.missing)
        for entry in _variants(name, spec):
            if reason is None:
                entries.append(entry)
            else:
                skipped.append(Skipped(entry.label, reason))
    return sorted(entries, key=lambda entry: entry.label), sorted(skipped, key=lambda one: one.model)


def _belongs(suite: str, spec: ModelSpec) -> bool:
    if suite == "all":
        return True
    tags = set(spec.tags)
    if "slow" in tags:
        return False
    if suite == "classical":
        return "classical" in tags and "deep" not in tags
    return "classical" in tags or not tags & {"trained", "transductive"}


def _reason(spec: ModelSpec, missing: Sequence[str]) -> Optional[str]:
    if missing:
        modules = ", ".join(need.module for need in spec.requires if need.pip in missing)
        return f"needs {modules}: {'; '.join(dict.fromkeys(missing))}"
    if {"transductive", "features"} <= set(spec.tags):
        return spec.summary
    return None


def _variants(suite: str, spec: ModelSpec) -> list[SuiteEntry]:
    found = [SuiteEntry(spec.name, spec.name)]
    if suite != "classical" and spec.name in PATCH_LEVEL:
        found.append(SuiteEntry(f"{spec.name}@patch", spec.name, PATCH_LEVEL[spec.name]))
    return found
