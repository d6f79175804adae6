"""The states of a training on disk: the last one, to go on from, and the best one, to end with.

Each is a folder of its own, named after its step; the one before is removed only when the new one is whole, so a
process that is killed at any moment leaves a state to go on from.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import CheckpointError
from pyimgano.core.state import read_state, write_state

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TrainingCheckpoints", "TrainingState"]

_NAME = re.compile(r"^(last|best)-(\d+)$")


@dataclass(frozen=True)
class TrainingState:
    """One state.

    Attributes
    ----------
    model : mapping
        What the detector's ``training_state`` returned.
    optimizer : mapping
        See :func:`pyimgano.workbench.train.optimisation.optimizer_arrays`; empty in the best state.
    facts : mapping
        JSON-friendly: where training stands.
    """

    model: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


class TrainingCheckpoints:
    """The folder that holds them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, name: str, step: int, state: TrainingState) -> None:
        """Write a state as ``name`` (``"last"`` or ``"best"``) and remove the one before.

        Raises
        ------
        PyimganoError
            When it cannot be written; the one before is then still there.
        """
        target = self._folder / f"{name}-{step:08d}"
        arrays = {f"model.{key}": array for key, array in state.model.items()}
        arrays.update({f"optimizer.{key}": array for key, array in state.optimizer.items()})
        write_state(target, arrays, {"facts": dict(state.facts)})
        for other in self._found(name):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)

    def load(self, name: str) -> Optional[TrainingState]:
        """Return the newest whole state called ``name``, or None."""
        for folder in reversed(self._found(name)):
            try:
                arrays, record = read_state(folder)
            except CheckpointError:  # what a killed process was writing; the one before it is still there
                continue
            return TrainingState(_part(arrays, "model."), _part(arrays, "optimizer."), record["facts"])
        return None

    def _found(self, name: str) -> list[Path]:
        found = [path for path in self._folder.glob(f"{name}-*") if _NAME.match(path.name) and path.is_dir()]
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
