"""Between fit and calibration: the post-processing of a category, and what its rules learn from good images."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ConfigError, RunError
from pyimgano.core.state import DETECTOR_JSON
from pyimgano.workbench.evaluate.spool import MapSpool
from pyimgano.workbench.postprocess.processing import PostProcess
from pyimgano.workbench.postprocess.rules import MapRule, learns
from pyimgano.workbench.postprocess.settings import FOLDER, configured, keep_learned, load_kept, settings_of
from pyimgano.workbench.scoring import score_stream

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.runs import RunDirectory
    from pyimgano.workbench.stages.data import CategoryData

__all__ = ["given_or_none", "learn_postprocess"]


def given_or_none(processing: Optional[PostProcess], config: RunConfig) -> PostProcess:
    """Return the processing that a recipe passes on, or none where the config wants none.

    Raises
    ------
    ConfigError
        When the config wants one: a recipe that knows nothing of it must not leave it out in silence.
    """
    if processing is not None:
        return processing
    if settings_of(config.postprocess) is not None:
        raise ConfigError(
            f"the recipe {config.recipe!r} has no post-processing",
            where="postprocess",
            hint="leave the section out; a recipe has it when it calls learn_postprocess and passes on what it returns",
        )
    return PostProcess()


def learn_postprocess(
    config: RunConfig, data: CategoryData, detector: Any, run: RunDirectory, *, keep: bool = True
) -> PostProcess:
    """Return the post-processing of a category; what its rules learn is kept in the checkpoint, or found there.

    Parameters
    ----------
    detector : Detector
        Fitted; scores the images that the rules learn from (``data.normalisation``).
    keep : bool
        Whether what is learned is kept with the detector, or was.

    Raises
    ------
    ImageError
        When an image cannot be read, or has another size than the region of interest.
    CalibrationError
        When a rule cannot learn from these images.
    RunError
        When an interrupted run has learned from other images than there are now.
    """
    processing = configured(config.postprocess, data.roi)
    if not any(map(learns, processing.rules)):
        return processing
    checkpoint = run.category(data.name).checkpoint
    identity = {
        "fingerprint": data.fingerprints["normalisation"],
        "settings": settings_of(config.postprocess),
        "roi": data.fingerprints.get("roi"),
    }
    if keep and (checkpoint / FOLDER / DETECTOR_JSON).is_file():
        if load_kept(processing.rules, checkpoint, identity):
            return processing
        raise RunError(
            f"the images of {data.name!r} that the post-processing learns from have changed since it did",
            where=str(checkpoint / FOLDER),
            hint="start a new run instead of resuming this one",
        )
    if keep:
        shutil.rmtree(checkpoint / FOLDER, ignore_errors=True)  # what an interrupted run was about to keep
    with tempfile.TemporaryDirectory(dir=run.scratch()) as scratch:
        _learn(config, data, detector, processing, Path(scratch), run)
    if keep:
        keep_learned(processing.rules, checkpoint, identity)
    return processing


class _Maps:
    """The maps of the images, after the rules that stand before."""

    def __init__(self, spool: MapSpool, shapes: Sequence[tuple[int, int]], rules: Sequence[MapRule]) -> None:
        self._spool, self._shapes, self._rules = spool, shapes, rules

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: int) -> np.ndarray:
        values = self._spool.read(index)
        for rule in self._rules:
            values = rule(values, self._shapes[index])
        return values


def _learn(
    config: RunConfig, data: CategoryData, detector: Any, processing: PostProcess, scratch: Path, run: RunDirectory
) -> None:
    spool = MapSpool(scratch / "good.maps")
    try:
        shapes: list[tuple[int, int]] = []
        with run.progress.stage(f"{data.name}: learn the post-processing", len(data.normalisation)) as advance:
            for scored in score_stream(
                detector,
                data.normalisation,
                batch_size=config.batch_size,
                value_range=config.dataset.value_range,
                on_error="raise",
            ):
                if scored.map is None or scored.shape is None:
                    raise ConfigError(f"the model {config.model.name!r} gave no anomaly map", where="postprocess.maps")
                spool.append(scored.map)
                shapes.append(scored.shape)
                advance(1)
        inside = [processing.inside_map(spool.read(index).shape, shape) for index, shape in enumerate(shapes)]
        for index, rule in enumerate(processing.rules):
            if learns(rule):
                rule.fit(_Maps(spool, shapes, processing.rules[:index]), inside)  # type: ignore[arg-type]
    finally:
        spool.close()
