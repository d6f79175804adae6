"""The manifest: what a bundle is, what it needs to run, where it comes from, and the checksum of every file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from pyimgano.core.errors import CheckpointError, MissingDependencyError
from pyimgano.core.plugins import installed
from pyimgano.core.specs import Requirement
from pyimgano.workbench.bundle.names import BUNDLE_JSON, CALIBRATION_CARD, MANIFEST, check_names

__all__ = ["FORMAT", "GRAPH", "MANIFEST_SCHEMA", "STATE", "FileFacts", "Manifest"]

MANIFEST_SCHEMA = 1
FORMAT = "pyimgano-bundle"
GRAPH, STATE = "graph", "state"
KINDS = (GRAPH, STATE)
PRECISIONS = ("fp32", "fp16", "int8")

MAX_FILE = 4 << 30
MAX_TOTAL = 16 << 30


@dataclass(frozen=True)
class FileFacts:
    """What the manifest says of one file.

    Attributes
    ----------
    sha256 : str
        In hexadecimal.
    size : int
        In bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` holds.

    Attributes
    ----------
    kind : {"graph", "state"}
        ONNX graphs, which need onnxruntime alone; or what the model itself saved, which needs its distribution.
    precision : {"fp32", "fp16", "int8"}
        Of the graphs.
    model : str
        Name of the model that was fitted.
    created_with : mapping
        Distribution → version.
    requires : tuple of Requirement
        What must be installed to run it.
    source : mapping
        ``run`` (its name), ``fingerprint`` (SHA-256 of its config, artifacts and checkpoints) and ``dataset``.
    files : mapping
        Path → facts, of every file but the manifest.
    """

    kind: str
    precision: str
    model: str
    created_with: Mapping[str, str]
    requires: tuple[Requirement, ...]
    source: Mapping[str, str]
    files: Mapping[str, FileFacts]

    @property
    def missing(self) -> tuple[Requirement, ...]:
        """What it needs and is not installed."""
        return tuple(need for need in self.requires if not installed(need.module))

    @property
    def graph_runtime(self) -> str:
        """Which of :data:`~pyimgano.workbench.bundle.graph_runtimes.GRAPH_RUNTIMES` its graphs were compared under."""
        return "openvino" if any(need.module == "openvino" for need in self.requires) else "onnxruntime"

    def require_installed(self, *, where: str) -> None:
        """Refuse a bundle that cannot run here.

        Raises
        ------
        MissingDependencyError
            The hint is what to install.
        """
        missing = self.missing
        if missing:
            raise MissingDependencyError(
                f"the bundle needs {', '.join(repr(need.module) for need in missing)}, which is not installed",
                where=where,
                hint="\n".join(dict.fromkeys(map(install_hint, missing))),
            )

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON-friendly mapping, its files sorted."""
        needs = [
            {"module": need.module, "distribution": need.distribution, "extra": need.extra} for need in self.requires
        ]
        return {
            "schema_version": MANIFEST_SCHEMA,
            "format": FORMAT,
            "kind": self.kind,
            "precision": self.precision,
            "model": self.model,
            "created_with": dict(self.created_with),
            "requires": needs,
            "source": dict(self.source),
            "files": {name: {"sha256": facts.sha256, "size": facts.size} for name, facts in sorted(self.files.items())},
        }

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Manifest:
        """Return the manifest that :meth:`to_json` gave; nothing of it is trusted.

        Raises
        ------
        CheckpointError
            When it is none of this version, or a name or a size in it is refused.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise CheckpointError("is no manifest of a bundle", where=where, hint="pyimgano export RUN makes a bundle")
        version = data.get("schema_version")
        if version != MANIFEST_SCHEMA:
            newer = type(version) is int and version > MANIFEST_SCHEMA
            raise CheckpointError(
                f"unknown schema version {version!r}",
                where=where,
                allowed=str(MANIFEST_SCHEMA),
                hint="a newer program wrote it: pip install --upgrade pyimgano-workbench" if newer else None,
            )
        try:
            manifest = cls(
                _one_of(data["kind"], KINDS),
                _one_of(data["precision"], PRECISIONS),
                _text(data["model"]),
                _texts(data["created_with"]),
                tuple(_requirement(need) for need in _list(data["requires"])),
                _texts(data["source"]),
                {name: _facts(facts) for name, facts in _object(data["files"]).items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"is damaged: {type(error).__name__}: {error}", where=where) from error
        manifest._check(where)
        return manifest

    def _check(self, where: str) -> None:
        check_names([*self.files, MANIFEST], where=where)
        missing = [name for name in (BUNDLE_JSON, CALIBRATION_CARD) if name not in self.files]
        if missing:
            raise CheckpointError(f"lists no {missing[0]}", where=where)
        total = sum(facts.size for facts in self.files.values())
        if total > MAX_TOTAL:
            raise CheckpointError(f"lists {total} bytes in all", where=where, allowed=f"at most {MAX_TOTAL}")


def install_hint(need: Requirement) -> str:
    """Return what to type for a requirement; a stranger's is not to be installed unseen."""
    ours = need.distribution.startswith("pyimgano-") or need.distribution == "pyimgano"
    return need.pip if ours else f"{need.pip}   (a name that the bundle gives: install it if you trust its makers)"


_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{str(value)[:40]!r} is no object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > 100:
        raise TypeError(f"{str(value)[:40]!r} is no list, or a long one")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise TypeError(f"{str(value)[:40]!r} is no text of one line")
    return value


def _texts(value: Any) -> dict[str, str]:
    return {_text(key): _text(item) for key, item in _object(value).items()}


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(allowed)}")
    return str(value)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError(f"{str(value)[:40]!r} is no name of a module or distribution")
    return value


def _requirement(value: Any) -> Requirement:
    need = _object(value)
    extra: Optional[str] = need["extra"]
    module = _word(need["module"])
    # To look for a module imports the packages above it: a stranger may name pyimgano's only.
    if "." in module and not module.startswith("pyimgano."):
        raise ValueError(f"{module!r} lies in a package")
    return Requirement(module, _word(need["distribution"]), None if extra is None else _word(extra))


def _facts(value: Any) -> FileFacts:
    facts = _object(value)
    digest, size = facts["sha256"], facts["size"]
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{str(digest)[:40]!r} is no SHA-256")
    if type(size) is not int or not 0 <= size <= MAX_FILE:
        raise ValueError(f"the size {str(size)[:40]!r} is none from 0 to {MAX_FILE}")
    return FileFacts(digest, size)
