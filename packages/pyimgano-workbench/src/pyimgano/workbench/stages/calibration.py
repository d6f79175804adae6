"""Third stage: the threshold, from good images that the detector has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import dump_json, load_json
from pyimgano.workbench.calibrate import CalibrationCard, PixelWay, calibrate
from pyimgano.workbench.calibrate.cross import out_of_fold
from pyimgano.workbench.postprocess.processing import PostProcess
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.runs.directory import make_folder
from pyimgano.workbench.scoring import score_stream
from pyimgano.workbench.stages.data import CategoryData
from pyimgano.workbench.stages.fitting import fit_detector
from pyimgano.workbench.stages.postprocessing import given_or_none

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["calibrate_category"]

FOLD_SCHEMA = 1


@dataclass(frozen=True)
class _Seen:
    """What a model said of one image: its score, and the maximum and median of its map where there is one."""

    score: float
    maximum: Optional[float]
    median: Optional[float]


def calibrate_category(
    config: RunConfig,
    data: CategoryData,
    detector: Any,
    progress: Progress,
    *,
    scratch: Optional[Path] = None,
    processing: Optional[PostProcess] = None,
) -> CalibrationCard:
    """Score good images by models that have not seen them, and return the calibration card.

    Where ``data`` has folds, a detector is fitted for each on the images of the others, and not kept.

    Parameters
    ----------
    detector : Detector
        The one that is kept, fitted.
    scratch : Path, optional
        Folder of this category for the scores of finished folds: an interrupted run does not fit them again.
    processing : PostProcess, optional
        What becomes of scores and maps, see :func:`~pyimgano.workbench.stages.learn_postprocess`.

    Raises
    ------
    ImageError
        When an image cannot be read.
    CalibrationError
        When there are too few for alpha, or a score is not finite.
    ConfigError
        When the config has a post-processing, and the recipe passes none.
    """
    processing = given_or_none(processing, config)
    if data.folds:
        good = _cross(config, data, progress, scratch, processing)
    else:
        good = _score(config, detector, data.calibration, progress, f"{data.name}: calibrate", processing)
    title = f"{data.name}: calibrate, defective images"
    defects = _score(config, detector, data.defects, progress, title, processing)
    has_maps = all(seen.maximum is not None for seen in good + defects)
    wanted = config.calibration
    return calibrate(
        [seen.score for seen in good],
        method=wanted.method,
        params=wanted.params,
        alpha=wanted.alpha,
        fingerprint=data.fingerprints["calibration"],
        source=data.calibration_source,
        review_alpha=wanted.review_alpha,
        map_maxima=[seen.maximum for seen in good if seen.maximum is not None] if has_maps else None,
        map_medians=[seen.median for seen in good if seen.median is not None] if has_maps else None,
        pixel=PixelWay(
            wanted.pixel_method,
            wanted.pixel_params,
            wanted.pixel_alpha,
            low_alpha=config.regions.hysteresis_alpha,
            low_fraction=config.regions.hysteresis,
        ),
        defect_scores=[seen.score for seen in defects] if defects else None,
        defect_maxima=[seen.maximum for seen in defects if seen.maximum is not None] if defects and has_maps else None,
        defects_fingerprint=data.fingerprints.get("defects"),
        n_normalisation=len(data.normalisation),
        normalisation_fingerprint=data.fingerprints.get("normalisation"),
        by_regions=config.regions.decide == "regions",
    )


def _score(
    config: RunConfig,
    detector: Any,
    samples: Sequence[Sample],
    progress: Progress,
    title: str,
    processing: PostProcess,
) -> list[_Seen]:
    if not samples:
        return []
    found: list[_Seen] = []
    with progress.stage(title, len(samples)) as advance:
        raw = score_stream(
            detector,
            samples,
            batch_size=config.batch_size,
            value_range=config.dataset.value_range,
            on_error="raise",
        )
        for scored in processing.stream(raw, on_error="raise"):
            assert scored.score is not None
            found.append(_Seen(scored.score, *processing.summary(scored)))
            advance(1)
    return found


def _cross(
    config: RunConfig, data: CategoryData, progress: Progress, scratch: Optional[Path], processing: PostProcess
) -> list[_Seen]:
    """Return what the folds' models say of the images of their folds."""

    def score(number: int, others: list[Sample], fold: Sequence[Sample]) -> list[_Seen]:
        place = f"fold {number + 1} of {len(data.folds)}"
        kept = None if scratch is None else scratch / f"fold-{number + 1:05d}.json"
        identity = {"fingerprint": data.fingerprints["fit"], "images": [sample.id for sample in fold]}
        if "roi" in data.fingerprints:
            identity["roi"] = data.fingerprints["roi"]
        if kept is not None and kept.is_file():
            return _kept(kept, identity)
        # In the order of the images, as in the fit of the kept model, and not in that of the folds.
        images = sorted(others, key=lambda sample: sample.id)
        detector = fit_detector(config, images, progress, f"{data.name}: fit {config.model.name}, {place}")
        seen = _score(config, detector, fold, progress, f"{data.name}: calibrate, {place}", processing)
        if kept is not None:
            make_folder(kept.parent)
            rows = [[one.score, one.maximum, one.median] for one in seen]
            dump_json({"schema_version": FOLD_SCHEMA, **identity, "seen": rows}, kept)
        return seen

    return out_of_fold(data.folds, score)


def _kept(path: Path, identity: dict[str, Any]) -> list[_Seen]:
    """Return what an interrupted run has kept of a fold.

    Raises
    ------
    RunError
        When it is of other images, or damaged.
    """
    try:
        record = load_json(path)
        if {key: record[key] for key in identity} == identity:
            return [_Seen(*row) for row in record["seen"]]
        reason = "is of other images than there are now"
    except (PyimganoError, KeyError, TypeError) as error:
        reason = f"is damaged: {getattr(error, 'message', error)}"
    raise RunError(
        f"what the interrupted run kept of a fold {reason}",
        where=str(path),
        hint="start a new run instead of resuming this one",
    )
