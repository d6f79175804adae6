"""The cache directory: weights and exported graphs, each beside a sidecar that says what it is.

A cached file ``x.safetensors`` has a sidecar ``x.safetensors.json`` with the model's name, its version or source, the
size and the SHA-256. A file whose content does not match its sidecar is refused, never used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyimgano.core.errors import WeightsError
from pyimgano.core.files import dump_json, load_json, sha256_file

__all__ = ["cache_dir", "describe_cached", "torch_home", "verify_cached"]

SIDECAR_SCHEMA = 1


def cache_dir(*parts: str, create: bool = False) -> Path:
    r"""Return pyimgano's cache directory, or a folder below it.

    ``PYIMGANO_CACHE_DIR`` names it; else it is the platform's place for caches: ``%LOCALAPPDATA%\pyimgano\cache``,
    ``~/Library/Caches/pyimgano`` or ``$XDG_CACHE_HOME/pyimgano`` (``~/.cache/pyimgano``).
    """
    chosen = os.environ.get("PYIMGANO_CACHE_DIR")
    if chosen:
        root = Path(chosen).expanduser()
    elif sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        root = (Path(local) if local else Path.home() / "AppData" / "Local") / "pyimgano" / "cache"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "pyimgano"
    else:
        xdg = os.environ.get("XDG_CACHE_HOME")
        root = (Path(xdg) if xdg else Path.home() / ".cache") / "pyimgano"
    path = root.joinpath(*parts)
    if create:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(
                f"cannot make the cache directory: {error.strerror or error}",
                where=str(path),
                hint="set PYIMGANO_CACHE_DIR to a folder that is writable",
            ) from error
    return path


def torch_home() -> Path:
    """Return the directory in which torch keeps downloaded weights: ``TORCH_HOME``, else the platform's default."""
    chosen = os.environ.get("TORCH_HOME")
    if chosen:
        return Path(chosen).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg).expanduser() if xdg else Path.home() / ".cache") / "torch"


def sidecar_path(path: Path) -> Path:
    """Return the path of the sidecar of a cached file."""
    return path.with_name(path.name + ".json")


def describe_cached(path: Path, *, model: str, version: str, **facts: Any) -> dict[str, Any]:
    """Write the sidecar of a cached file and return it.

    Parameters
    ----------
    path : Path
        The cached file, already under its final name.
    model, version : str
        What the file holds, and which release or source it came from.
    **facts
        Anything else worth keeping (JSON-friendly), e.g. ``input_size=(224, 224)``.
    """
    record = {
        "schema_version": SIDECAR_SCHEMA,
        "model": model,
        "version": version,
        "sha256": sha256_file(path),
        "size": path.stat().st_size,
        **facts,
    }
    dump_json(record, sidecar_path(path))
    return record


def verify_cached(path: Path) -> Mapping[str, Any]:
    """Check a cached file against its sidecar and return the sidecar.

    Raises
    ------
    WeightsError
        When the file cannot be read, the sidecar is missing, or the file's SHA-256 is not the one that it states.
    """
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        raise WeightsError(
            "cached file has no sidecar that states its checksum",
            where=str(path),
            hint="delete the file; it is made or fetched again",
        )
    record: Mapping[str, Any] = load_json(sidecar)
    stated = record.get("sha256") if isinstance(record, dict) else None
    try:
        actual = sha256_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read the cached file: {error.strerror or error}", where=str(path)) from error
    if actual != stated:
        raise WeightsError(
            f"checksum mismatch: the file has sha256 {actual}, its sidecar states {stated}",
            where=str(path),
            hint="delete the file and its .json; it is made or fetched again",
        )
    return record
