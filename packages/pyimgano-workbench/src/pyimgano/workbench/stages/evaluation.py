"""Fourth stage: every test image is scored once; records, pictures and metrics come from that one pass."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import dump_json
from pyimgano.workbench.calibrate import CalibrationCard
from pyimgano.workbench.evaluate import (
    MapSpool,
    Metric,
    confusion,
    decision_metrics,
    image_metrics,
    pixel_metrics,
    undefined_pixel_metrics,
)
from pyimgano.workbench.records import PREDICTION_SCHEMA, PredictionRecord, write_records
from pyimgano.workbench.runs.directory import PER_IMAGE, CategoryFolder, RunDirectory, make_folder
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY, file_stem
from pyimgano.workbench.scoring import ScoredImage, score_stream
from pyimgano.workbench.stages.data import CategoryData
from pyimgano.workbench.stages.fitting import Fitted

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.config import RunConfig

__all__ = ["evaluate_category", "finished_report"]

CATEGORY_REPORT_SCHEMA = 1


def evaluate_category(
    config: RunConfig,
    data: CategoryData,
    fitted: Fitted,
    card: CalibrationCard,
    run: RunDirectory,
) -> dict[str, Any]:
    """Score the test images, write ``per_image.jsonl`` and the pictures, measure, and write the category's report.

    The report is written last: a category that has one is complete.

    Returns
    -------
    dict
        The report.

    Raises
    ------
    PyimganoError
        When something cannot be written.
    ImageError
        When a mask cannot be read or has another size than its image.
    """
    folder = run.category(data.name)
    shutil.rmtree(folder.path, ignore_errors=True)  # what an interrupted evaluation has left
    make_folder(folder.path)
    spool = MapSpool(run.scratch() / f"{folder.folder}.maps")
    try:
        start = time.perf_counter()
        records, shapes = _score(config, data, fitted, card, folder, run, spool)
        seconds = time.perf_counter() - start
        write_records(records, folder.per_image)
        metrics, counts = _image_side(records, card)
        metrics.update(_pixel_side(config, data.test, records, shapes, spool, run))
    finally:
        spool.close()
    errors = [{"image": record.image, "error": record.error} for record in records if record.error is not None]
    report = {
        "schema_version": CATEGORY_REPORT_SCHEMA,
        "category": data.name,
        "per_image": PER_IMAGE,
        "per_image_schema": PREDICTION_SCHEMA,
        "data": data.to_json(),
        "calibration": card.to_json(),
        "metrics": {name: metric.to_json() for name, metric in metrics.items()},
        "confusion": counts,
        "errors": errors,
        "warnings": list(fitted.warnings),
        "timing": {
            "fit_seconds": fitted.seconds,
            "test_seconds": seconds,
            "test_ms_per_image": 1000.0 * seconds / len(records) if records else None,
        },
    }
    dump_json(report, folder.report_file)
    return report


def finished_report(data: CategoryData, folder: CategoryFolder) -> dict[str, Any]:
    """Return the report of a category that an interrupted run has finished.

    Raises
    ------
    RunError
        When its images are no longer the same.
    """
    report = folder.report()
    if report["data"]["fingerprints"] != data.fingerprints:
        raise RunError(
            f"the images of {data.name!r} have changed since the category was evaluated",
            where=str(folder.path),
            hint="start a new run instead of resuming this one",
        )
    return report


def _score(
    config: RunConfig,
    data: CategoryData,
    fitted: Fitted,
    card: CalibrationCard,
    folder: CategoryFolder,
    run: RunDirectory,
    spool: MapSpool,
) -> tuple[list[PredictionRecord], list[Any]]:
    from pyimgano.workbench.render import PictureWriter

    output = config.output
    writer = PictureWriter(
        folder.path,
        maps=output.maps,
        masks=output.masks,
        overlays=output.overlays,
        value_range=config.dataset.value_range,
    )
    keep_maps = config.evaluation.pixel is not False
    records: list[PredictionRecord] = []
    shapes: list[Any] = []
    with run.progress.stage(f"{data.name}: test", len(data.test)) as advance:
        for scored in score_stream(
            fitted.detector,
            data.test,
            batch_size=config.batch_size,
            value_range=config.dataset.value_range,
            maps=keep_maps or writer.wanted,
        ):
            sample: Sample = scored.source
            known = {"category": sample.category, "label": sample.label, "defect": sample.defect}
            if scored.error is not None:
                records.append(PredictionRecord.failed(sample.id, scored.error, **known))
            else:
                assert scored.score is not None
                pictures = _draw(writer, sample, scored, card)
                records.append(PredictionRecord.scored(sample.id, scored.score, card, **known, **pictures))
            spool.append(scored.map if keep_maps else None)
            shapes.append(scored.shape)
            advance(1)
    return records, shapes


def _draw(writer: Any, sample: Sample, scored: ScoredImage, card: CalibrationCard) -> dict[str, str]:
    if not writer.wanted:
        return {}
    from pyimgano.datasets import load_mask

    if scored.map is None or scored.shape is None:
        raise PyimganoError("the model gave no anomaly map, so there is no picture to write", where=sample.id)
    truth = load_mask(sample, scored.shape) if writer.overlays and sample.label == 1 else None
    pictures: dict[str, str] = writer.write(
        file_stem(sample.id),
        sample.source,
        scored.map,
        scored.shape,
        low=card.map_low,
        threshold=card.pixel_threshold,
        truth=truth,
    )
    return pictures


def _image_side(records: Sequence[PredictionRecord], card: CalibrationCard) -> tuple[dict[str, Metric], dict[str, int]]:
    import numpy as np

    judged = [record for record in records if record.score is not None and record.label is not None]
    scores = np.array([record.score for record in judged], dtype=np.float64)
    labels = np.array([record.label for record in judged], dtype=np.int64)
    metrics = {**image_metrics(scores, labels), **decision_metrics(scores, labels, card.threshold)}
    return metrics, confusion(scores, labels, card.threshold)


def _pixel_side(
    config: RunConfig,
    samples: Sequence[Sample],
    records: Sequence[PredictionRecord],
    shapes: Sequence[Any],
    spool: MapSpool,
    run: RunDirectory,
) -> dict[str, Metric]:
    from pyimgano.datasets import load_mask
    from pyimgano.workbench.render import map_at

    if config.evaluation.pixel is False:
        return undefined_pixel_metrics("switched off by evaluation.pixel = false")
    scored = [index for index, record in enumerate(records) if record.score is not None]
    if not scored:
        return undefined_pixel_metrics("no test image was scored", images=0)
    if not any(spool.has(index) for index in scored):
        return undefined_pixel_metrics("the model has no anomaly maps")
    # An image whose defective pixels are not known can count neither way.
    known = [index for index in scored if spool.has(index) and (samples[index].masks or samples[index].label == 0)]
    defective = [bool(samples[index].masks) for index in known]
    if not any(defective):
        return undefined_pixel_metrics("no test image has a ground-truth mask", images=len(known))

    def load(position: int) -> tuple[np.ndarray, np.ndarray]:
        index = known[position]
        mask = load_mask(samples[index], shapes[index])
        assert mask is not None
        return map_at(spool.read(index), shapes[index]), mask

    with run.progress.stage(f"{records[0].category or DEFAULT_CATEGORY}: pixel metrics"):
        return pixel_metrics(load, defective, limit=config.evaluation.aupro_limit, left_out=len(scored) - len(known))
