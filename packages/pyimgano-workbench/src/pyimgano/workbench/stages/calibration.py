"""Third stage: the threshold, from good images that the detector has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyimgano.workbench.calibrate import CalibrationCard, calibrate
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.scoring import score_stream
from pyimgano.workbench.stages.data import CategoryData

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["calibrate_category"]


def calibrate_category(config: RunConfig, data: CategoryData, detector: Any, progress: Progress) -> CalibrationCard:
    """Score the held-out good images and return the calibration card.

    Raises
    ------
    ImageError
        When a held-out image cannot be read.
    CalibrationError
        When there are too few for alpha.
    """
    import numpy as np

    scores: list[float] = []
    maxima: list[float] = []
    medians: list[float] = []
    with progress.stage(f"{data.name}: calibrate", len(data.calibration)) as advance:
        for scored in score_stream(
            detector,
            data.calibration,
            batch_size=config.batch_size,
            value_range=config.dataset.value_range,
            on_error="raise",
        ):
            assert scored.score is not None
            scores.append(scored.score)
            if scored.map is not None:
                maxima.append(float(scored.map.max()))
                medians.append(float(np.median(scored.map)))
            advance(1)
    has_maps = len(maxima) == len(scores)
    return calibrate(
        scores,
        method=config.calibration.method,
        params=config.calibration.params,
        alpha=config.calibration.alpha,
        fingerprint=data.fingerprints["calibration"],
        map_maxima=np.array(maxima) if has_maps else None,
        map_medians=np.array(medians) if has_maps else None,
    )
