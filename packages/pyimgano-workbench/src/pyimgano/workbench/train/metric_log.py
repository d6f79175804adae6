"""The log of a training: one JSON line per step and measurement, and TensorBoard's where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import PyimganoError, StorageError
from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.core.plugins import installed

__all__ = ["MetricLog", "read_log"]


class MetricLog:
    """Appends rows to ``log.jsonl``.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    step : int
        Step of the state that training goes on from: rows of later steps are dropped, since they will be written again.
    tensorboard : Path, optional
        Folder for TensorBoard's files; used where ``tensorboard`` is installed.

    Raises
    ------
    StorageError
        When the file cannot be written.
    """

    def __init__(self, path: Path, *, step: int, tensorboard: Optional[Path] = None) -> None:
        self._path = path
        kept = [row for row in read_log(path) if row["step"] <= step] if path.is_file() else []
        with atomic_open(path) as stream:
            stream.writelines(dumps_json(row) + "\n" for row in kept)
        self._stream = open(path, "a", encoding="utf-8", newline="\n")
        self._board = _summary_writer(tensorboard, step) if tensorboard is not None else None

    def write(self, step: int, row: Mapping[str, Any]) -> None:
        """Write one row; its numbers also become TensorBoard's scalars."""
        try:
            self._stream.write(dumps_json({"step": step, **row}) + "\n")
            self._stream.flush()
        except OSError as error:
            raise StorageError(f"cannot write: {error.strerror or error}", where=str(self._path)) from error
        if self._board is not None:
            kind = row.get("kind", "train")
            for name, value in row.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        self._stream.close()
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a log; a last line that a killed process was writing is left out.

    Raises
    ------
    PyimganoError
        When another line is no JSON object with a step.
    """
    rows: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            int(row["step"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):  # no line end: it is not whole
                break
            raise PyimganoError("is no row of a training log", where=f"{path}:{number}") from error
        rows.append(row)
    return rows


def _summary_writer(folder: Path, step: int) -> Any:
    if not installed("tensorboard") or not installed("torch"):
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)
