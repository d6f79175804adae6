"""Fourth stage: every test image is scored once; records, pictures and metrics come from that one pass."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import dump_json
from pyimgano.workbench.calibrate import CalibrationCard
from pyimgano.workbench.evaluate import MapSpool, Metric
from pyimgano.workbench.postprocess.processing import PostProcess
from pyimgano.workbench.postprocess.rules import learns
from pyimgano.workbench.records import PREDICTION_SCHEMA, PredictionRecord, write_csv, write_records
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.runs.directory import (
    CURVES,
    PER_IMAGE,
    PER_IMAGE_CSV,
    CategoryFolder,
    RunDirectory,
    make_folder,
)
from pyimgano.workbench.runs.naming import file_stem
from pyimgano.workbench.scoring import ScoredImage, score_stream
from pyimgano.workbench.stages.data import CategoryData
from pyimgano.workbench.stages.drifting import adapt_facts
from pyimgano.workbench.stages.fitting import Fitted
from pyimgano.workbench.stages.image_evaluation import evaluate_images
from pyimgano.workbench.stages.pixel_evaluation import evaluate_pixels
from pyimgano.workbench.stages.postprocessing import given_or_none
from pyimgano.workbench.stages.tally import RegionTally
from pyimgano.workbench.stages.thumbnails import write_thumbnails
from pyimgano.workbench.verdict import Judge, Verdict

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["evaluate_category", "finished_report"]

CATEGORY_REPORT_SCHEMA = 2
CURVES_SCHEMA = 1


def evaluate_category(
    config: RunConfig,
    data: CategoryData,
    fitted: Fitted,
    card: CalibrationCard,
    run: RunDirectory,
    *,
    more: Optional[Callable[[Sequence[PredictionRecord]], Mapping[str, Any]]] = None,
    processing: Optional[PostProcess] = None,
) -> dict[str, Any]:
    """Score the test images, write ``per_image.jsonl`` and the pictures, measure, and write the category's report.

    The report is written last: a category that has one is complete.

    Parameters
    ----------
    more : callable, optional
        Returns further keys of the report, from the records; they replace what has the same name.
    processing : PostProcess, optional
        What becomes of scores and maps, as in the calibration.

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
    judge = Judge(card, RegionPolicy.of(config.regions), given_or_none(processing, config))
    shutil.rmtree(folder.path, ignore_errors=True)  # what an interrupted evaluation has left
    make_folder(folder.path)
    spool = MapSpool(run.scratch() / f"{folder.folder}.maps")
    try:
        start = time.perf_counter()
        records, shapes, tally = _score(config, data, fitted, judge, folder, run, spool)
        seconds = time.perf_counter() - start
        write_records(records, folder.per_image)
        write_csv(records, folder.path / PER_IMAGE_CSV)
        images = evaluate_images(config.evaluation, data.test, records, card)
        pixels = evaluate_pixels(config, data.name, data.test, records, shapes, spool, judge, tally, run.progress)
        metrics = {**images.metrics, **pixels.metrics}
        if config.output.report:
            write_thumbnails(config, folder.path, data.test, records, shapes, spool, judge, run.progress)
    finally:
        spool.close()
    curves = {"schema_version": CURVES_SCHEMA, "image": images.curves, "pixel": pixels.curves}
    dump_json(curves, folder.path / CURVES)
    errors = [{"image": record.image, "error": record.error} for record in records if record.error is not None]
    report = {
        "schema_version": CATEGORY_REPORT_SCHEMA,
        "category": data.name,
        "per_image": PER_IMAGE,
        "per_image_schema": PREDICTION_SCHEMA,
        "data": data.to_json(),
        "calibration": card.to_json(),
        "metrics": {name: metric.to_json() for name, metric in metrics.items()},
        "confusion": images.confusion,
        "by_defect": _merged(images.by_defect, pixels.by_defect),
        "by_group": images.by_group,
        "decisions_and_regions": _agreement(records),
        **_processed(config, data, judge, tally),
        "curves": CURVES,
        "errors": errors,
        "warnings": list(fitted.warnings),
        "timing": {
            "fit_seconds": fitted.seconds,
            "test_seconds": seconds,
            "test_ms_per_image": 1000.0 * seconds / len(records) if records else None,
        },
        **adapt_facts(config.adapt, copies=True),
        **(more(records) if more is not None else {}),
    }
    dump_json(report, folder.report_file)
    return report


def _merged(images: dict[str, Any], pixels: dict[str, dict[str, Metric]]) -> dict[str, Any]:
    """Return what is known of each kind of defect, JSON-friendly."""
    return {
        name: {**row, **{key: metric.to_json() for key, metric in pixels.get(name, {}).items()}}
        for name, row in images.items()
    }


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
    judge: Judge,
    folder: CategoryFolder,
    run: RunDirectory,
    spool: MapSpool,
) -> tuple[list[PredictionRecord], list[Any], RegionTally]:
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
    tally = RegionTally()
    with run.progress.stage(f"{data.name}: test", len(data.test)) as advance:
        raw = score_stream(
            fitted.detector,
            data.test,
            batch_size=config.batch_size,
            value_range=config.dataset.value_range,
            maps=keep_maps or writer.wanted or judge.needs_maps,
        )
        for scored in judge.processing.stream(raw):
            sample: Sample = scored.source
            known: dict[str, Any] = {
                "category": sample.category,
                "group": sample.group,
                "label": sample.label,
                "defect": sample.defect,
            }
            verdict = None
            if scored.error is not None:
                records.append(PredictionRecord.failed(sample.id, scored.error, **known))
            else:
                assert scored.score is not None
                verdict = judge(scored)
                known.update(verdict.known())
                pictures = _draw(writer, sample, scored, judge, verdict)
                records.append(PredictionRecord.scored(sample.id, scored.score, judge.card, **known, **pictures))
            tally.add(verdict)
            spool.append(scored.map if keep_maps else None)
            shapes.append(scored.shape)
            advance(1)
    return records, shapes, tally


def _processed(config: RunConfig, data: CategoryData, judge: Judge, tally: RegionTally) -> dict[str, Any]:
    """Return what a report says of post-processing and of rules on regions; nothing where there are none."""
    said: dict[str, Any] = {}
    if judge.processing.active:
        maps: list[dict[str, Any]] = []
        for wanted, rule in zip(config.postprocess.maps, judge.processing.rules):
            learned = {"learned": rule.state()[1]} if learns(rule) else {}
            maps.append({"name": wanted.name, "params": dict(wanted.params), **learned})
        said["postprocess"] = {"maps": maps, **judge.processing.to_json(), "n_normalisation": len(data.normalisation)}
    regions = tally.to_json(judge.policy)
    return said if regions is None else {**said, "regions": regions}


def _agreement(records: Sequence[PredictionRecord]) -> Optional[dict[str, int]]:
    """Count the images whose decision and regions say different things: each has a threshold of its own."""
    known = [record for record in records if record.regions is not None]
    if not known:
        return None
    return {
        "good_with_regions": sum(record.decision == "good" and record.n_kept > 0 for record in known),
        "defective_without_regions": sum(record.decision == "defective" and record.n_kept == 0 for record in known),
    }


def _draw(writer: Any, sample: Sample, scored: ScoredImage, judge: Judge, verdict: Verdict) -> dict[str, str]:
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
        low=judge.card.map_low,
        threshold=judge.card.pixel_threshold,
        truth=truth,
        found=None if verdict.found is None else verdict.found.mask,
        inside=judge.processing.inside(scored.shape),
    )
    return pictures
