"""Learned state on disk: arrays in safetensors, everything else in strict JSON. No pickle.

A saved detector is a folder with ``state.safetensors`` and ``detector.json``; the latter is written last and holds the
checksum of the former, so a folder with a valid ``detector.json`` is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyimgano.core.errors import CheckpointError, PyimganoError
from pyimgano.core.files import atomic_open, dump_json, load_json, sha256_file

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DETECTOR_JSON", "STATE_FILE", "read_state", "write_state"]

DETECTOR_JSON = "detector.json"
STATE_FILE = "state.safetensors"
STATE_SCHEMA = 1


def write_state(directory: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and JSON-friendly facts into ``directory`` (made when missing).

    Raises
    ------
    PyimganoError
        When the folder cannot be written.
    """
    import numpy as np
    from safetensors.numpy import save

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot make the folder: {error.strerror or error}", where=str(directory)) from error
    # An old description must not vouch for new arrays while these are being written.
    (directory / DETECTOR_JSON).unlink(missing_ok=True)
    with atomic_open(directory / STATE_FILE, "wb") as stream:
        # Not ascontiguousarray, which makes a vector of a scalar.
        stream.write(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))
    record = {"schema_version": STATE_SCHEMA, **facts, "state_sha256": sha256_file(directory / STATE_FILE)}
    dump_json(record, directory / DETECTOR_JSON)


def read_state(directory: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`write_state` wrote.

    Raises
    ------
    CheckpointError
        When a file is missing or damaged, the checksum differs, or the schema is unknown.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        facts = load_json(directory / DETECTOR_JSON)
    except PyimganoError as error:
        raise CheckpointError(f"not a saved detector: {error.message}", where=str(error.where or directory)) from error
    if not isinstance(facts, dict) or facts.get("schema_version") != STATE_SCHEMA:
        raise CheckpointError(
            f"unknown schema version {facts.get('schema_version') if isinstance(facts, dict) else facts!r}",
            where=str(directory / DETECTOR_JSON),
            allowed=str(STATE_SCHEMA),
        )
    state = directory / STATE_FILE
    try:
        actual = sha256_file(state)
        if actual != facts.get("state_sha256"):
            raise CheckpointError("checksum mismatch: the state is not the one that was saved", where=str(state))
        arrays = load_file(state)
    except OSError as error:
        raise CheckpointError(f"cannot read: {error.strerror or error}", where=str(state)) from error
    except SafetensorError as error:
        raise CheckpointError(f"not a safetensors file: {error}", where=str(state)) from error
    return arrays, facts
