"""What tells a run from others, wherever it lies and whatever it is called."""

from __future__ import annotations

from pathlib import Path

from pyimgano.core.errors import RunError
from pyimgano.core.files import dumps_json, sha256_bytes, sha256_file
from pyimgano.workbench.runs.directory import CONFIG_JSON, REPORT_JSON, RunDirectory

__all__ = ["run_fingerprint"]


def run_fingerprint(run: RunDirectory) -> str:
    """Return the SHA-256 over the paths and checksums of a run's config, report, artifacts and checkpoints.

    Raises
    ------
    RunError
        When one of these files cannot be read.
    """
    parts = [run.path / CONFIG_JSON, run.path / REPORT_JSON]
    for folder in ("artifacts", "checkpoints"):
        parts += sorted(path for path in (run.path / folder).rglob("*") if path.is_file())
    try:
        files = {_name(path, run.path): sha256_file(path) for path in parts}
    except OSError as error:
        raise RunError(f"cannot read: {error.strerror or error}", where=str(error.filename)) from error
    return sha256_bytes(dumps_json(files).encode("utf-8"))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
