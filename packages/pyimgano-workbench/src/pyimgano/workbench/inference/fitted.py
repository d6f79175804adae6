"""The detectors of a run, loaded when the first image of their category comes by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import load_json
from pyimgano.workbench.inference.artifact_models import ArtifactModels
from pyimgano.workbench.inference.category import FittedCategory
from pyimgano.workbench.pipeline import load_detector
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.runs.directory import CALIBRATION_CARD, INFER_CONFIG, INFER_SCHEMA

__all__ = ["FittedCategory", "RunModels"]

_AGAIN = "the run is damaged: make a new one"


class RunModels(ArtifactModels):
    """The detectors of a complete run. Reads its artifacts only: neither its dataset nor its config is needed.

    Parameters
    ----------
    run : RunDirectory
        A complete run, wherever it has been moved to.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    RunError
        When an artifact is missing or damaged.
    UnknownNameError
        When the run has no such category; it lists those it has.
    """

    def __init__(self, run: RunDirectory, *, category: Optional[str] = None) -> None:
        self.run = run
        artifacts = run.path / "artifacts"
        config = run.infer_config()
        version = config.get("schema_version")
        if version != INFER_SCHEMA:
            older = isinstance(version, int) and version < INFER_SCHEMA
            raise RunError(
                f"not of version {INFER_SCHEMA}: {version!r}",
                where=str(artifacts / INFER_CONFIG),
                hint="an older program wrote it: make the run again, with pyimgano train --config RUN/config.json"
                if older
                else None,
            )
        card_file = artifacts / CALIBRATION_CARD
        super().__init__(
            config,
            _object(load_run_json(card_file), "categories", card_file),
            base=artifacts,
            config_file=str(artifacts / INFER_CONFIG),
            card_file=str(card_file),
            category=category,
        )

    def _state_folder(self, entry: Mapping[str, Any]) -> Path:
        return (self._base / str(entry["checkpoint"])).resolve()

    def _load_detector(self, folder: Path) -> Any:
        return load_detector(self.model, folder)

    def _damaged(self, message: str, where: Optional[str]) -> RunError:
        return RunError(message, where=where, hint=None if message.startswith("is damaged") else _AGAIN)


def load_run_json(path: Any) -> Any:
    """Read a JSON file of a run; what is wrong with it is wrong with the run."""
    try:
        return load_json(path)
    except PyimganoError as error:
        raise RunError(error.message, where=error.where, hint=_AGAIN) from error


def _object(data: Any, key: str, path: Any) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, dict):
        raise RunError(f"has no {key!r}", where=str(path), hint=_AGAIN)
    return value
