"""The stage of a recipe that trains: instead of a fit, and with a verdict on whether training helped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyimgano.core.contracts import Sample
from pyimgano.core.creation import load_model
from pyimgano.core.errors import ConfigError, RunError
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.images import ImageSequence
from pyimgano.core.seeding import derive_seed
from pyimgano.core.state import DETECTOR_JSON
from pyimgano.workbench.augment.copies import DriftedCopies
from pyimgano.workbench.compare.comparison import image_differences
from pyimgano.workbench.records import PredictionRecord, read_records, write_records
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.runs.directory import CONFIG_JSON, make_folder
from pyimgano.workbench.scoring import score_stream
from pyimgano.workbench.stages.calibration import calibrate_category
from pyimgano.workbench.stages.data import CategoryData
from pyimgano.workbench.stages.drifting import adapt_facts, drifts_of
from pyimgano.workbench.stages.fitting import Fitted, create_detector, fit_category
from pyimgano.workbench.stages.postprocessing import learn_postprocess
from pyimgano.workbench.train import TrainSettings, train_detector
from pyimgano.workbench.train.learning_images import LearningImages
from pyimgano.workbench.train.runner import keeps_images, trainable_parameters
from pyimgano.workbench.train.validation import ValidationImages
from pyimgano.workbench.verdict import Judge

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["Finetuned", "finetune_category", "training_effect"]

FROZEN = "frozen.jsonl"
OUTCOME = "training.json"
OUTCOME_SCHEMA = 1
RESAMPLES = 2000
"""Of the paired bootstrap: its p-values are then sure to about 0.005 where they decide."""
METRICS = ("image_auroc", "image_ap", "overkill", "escape")
LENGTH_PARAMETERS = ("seed", "batch_size", "device", "learning_rate", "epochs", "steps")
"""Parameters that say nothing of a model's weights: they may differ from those of the detector to start from."""


@dataclass(frozen=True)
class Finetuned:
    """A trained detector.

    Attributes
    ----------
    fitted : Fitted
        As loaded from its checkpoint.
    outcome : dict
        See :class:`pyimgano.workbench.train.TrainingOutcome`.
    frozen : list of PredictionRecord
        What the model said of the test images before its first step, fitted and calibrated on the same images.
    """

    fitted: Fitted
    outcome: dict[str, Any]
    frozen: list[PredictionRecord]


def finetune_category(config: RunConfig, settings: TrainSettings, data: CategoryData, run: RunDirectory) -> Finetuned:
    """Train on the good images, save, and load what was saved; an interrupted training goes on where it was.

    Everything that a training leaves lies in ``training/<category>`` of the run.

    Raises
    ------
    ConfigError
        When the calibration would train a model for every fold, or the model to start from is another.
    DatasetError
        When there are too few images to measure the training by, or a defective image has no mask.
    RunError
        When the run was trained on other images than there are now, or there is nothing to start from.
    PyimganoError
        When the training went wrong; its best state is kept.
    """
    if data.folds:
        raise ConfigError(
            f"calibration.method = {config.calibration.method!r} would train a model for every fold",
            allowed="a method that holds good images out, such as conformal",
        )
    folder = run.category(data.name)
    place = run.path / "training" / folder.folder

    def make() -> tuple[Any, float]:
        make_folder(place)
        detector, outcome = _train(config, settings, data, place, run)
        dump_json({"schema_version": OUTCOME_SCHEMA, **outcome}, place / OUTCOME)
        return detector, float(outcome["seconds"])

    fitted = fit_category(config, data, folder, run.progress, make=make)
    outcome = load_json(place / OUTCOME)
    outcome.pop("schema_version")
    return Finetuned(fitted, outcome, read_records(place / FROZEN))


def _train(
    config: RunConfig, settings: TrainSettings, data: CategoryData, place: Path, run: RunDirectory
) -> tuple[Any, dict[str, Any]]:
    from pyimgano.datasets import split_good

    split = split_good(data.fit, settings.validation, seed=derive_seed(config.seed, "training"))
    value_range = config.dataset.value_range
    drifts = drifts_of(config.adapt)

    def images(samples: Sequence[Sample]) -> ImageSequence:
        return ImageSequence([sample.source for sample in samples], value_range=value_range)

    def remembered(detector: Any) -> Sequence[Any]:
        """Return the images that a memory is filled from: drifted copies among them, as in a fit."""
        if drifts is None or not keeps_images(detector):
            return images(data.fit)
        return DriftedCopies(data.fit, drifts, copies=config.adapt.copies, seed=config.seed, value_range=value_range)

    detector = _starting_detector(config, settings, data.name)
    prepare = getattr(detector, "prepare", None)
    kinds = settings.synthetic_kinds()
    validation = ValidationImages(
        split.calibration,
        settings.validation_defects,
        seed=config.seed,
        prepare=prepare,
        value_range=value_range,
        kinds=kinds,
    )
    mode = settings.chosen_mode(detector)
    learning = LearningImages(
        split.fit,
        data.train_defects,
        seed=config.seed,
        prepare=prepare,
        value_range=value_range,
        synthetic_share=settings.synthetic_share if mode in getattr(detector, "modes_on_defects", ()) else 0.0,
        drifts=drifts,
        kinds=kinds,
    )
    if not (place / FROZEN).is_file():
        frozen = _starting_detector(config, settings, data.name)
        trainable_parameters(frozen, settings)
        frozen.begin_training(images(split.fit))
        frozen.finish_training(remembered(frozen), validation.good_images)
        write_records(_score(config, data, frozen, run), place / FROZEN)
        del frozen
    outcome = train_detector(
        detector,
        learning,
        images(split.fit),
        validation,
        settings,
        folder=place,
        progress=run.progress,
        batch_size=config.batch_size,
    )
    # What a model keeps of images beside its weights (a memory bank) it keeps of all that the frozen one was given.
    detector.finish_training(remembered(detector), validation.good_images)
    return detector, outcome.facts


def _starting_detector(config: RunConfig, settings: TrainSettings, category: str) -> Any:
    """Return a new detector, or the one that the settings start from."""
    wanted = create_detector(config)
    if settings.start_from is None:
        return wanted
    detector = load_model(config.model.name, _saved_detector(config, Path(settings.start_from), category))
    saved, given = detector.get_params(), wanted.get_params()
    for name in config.model.params:
        if name not in LENGTH_PARAMETERS and saved[name] != given[name]:
            raise ConfigError(
                f"model.params.{name} is {given[name]!r}, and the detector to start from has {saved[name]!r}",
                where=settings.start_from,
                hint=f"leave model.params.{name} out, or start from another",
            )
    detector.set_params(**{name: given[name] for name in LENGTH_PARAMETERS if name in given})
    return detector


def _saved_detector(config: RunConfig, start: Path, category: str) -> Path:
    if (start / DETECTOR_JSON).is_file():
        return start
    if not (start / CONFIG_JSON).is_file():
        raise RunError(
            "is neither a run nor a saved detector",
            where=str(start),
            hint="pyimgano runs list shows the runs there are",
        )
    run = open_run(start)
    infer = run.infer_config()
    if infer["model"] != config.model.name:
        raise ConfigError(
            f"model.name is {config.model.name!r}, and the run to start from has {infer['model']!r}", where=str(start)
        )
    checkpoints = {entry["name"]: entry["checkpoint"] for entry in infer["categories"]}
    if len(checkpoints) == 1:  # another product's detector is a start, too
        return run.path / "artifacts" / next(iter(checkpoints.values()))
    if category not in checkpoints:
        raise ConfigError(
            f"the run to start from has no category {category!r}", where=str(start), allowed=", ".join(checkpoints)
        )
    return run.path / "artifacts" / checkpoints[category]


def _score(config: RunConfig, data: CategoryData, detector: Any, run: RunDirectory) -> list[PredictionRecord]:
    """Return the records of the test images by a model that was calibrated like the trained one will be."""
    processing = learn_postprocess(config, data, detector, run, keep=False)
    card = calibrate_category(config, data, detector, run.progress, processing=processing)
    judge = Judge(card, RegionPolicy.of(config.regions), processing)
    records = []
    with run.progress.stage(f"{data.name}: test before training", len(data.test)) as advance:
        raw = score_stream(
            detector,
            data.test,
            batch_size=config.batch_size,
            value_range=config.dataset.value_range,
            maps=judge.needs_maps,
        )
        for scored in processing.stream(raw):
            sample: Sample = scored.source
            known: dict[str, Any] = {"category": sample.category, "group": sample.group, "label": sample.label}
            if scored.error is not None:
                records.append(PredictionRecord.failed(sample.id, scored.error, **known))
            else:
                assert scored.score is not None
                verdict = judge(scored)
                records.append(
                    PredictionRecord.scored(sample.id, scored.score, card, decision=verdict.decision, **known)
                )
            advance(1)
    return records


def training_effect(
    config: RunConfig, finetuned: Finetuned, records: Sequence[PredictionRecord], category: str
) -> dict[str, Any]:
    """Return what a category's report says of the training: what it did, and whether that helped on the test images.

    Parameters
    ----------
    records : sequence of PredictionRecord
        The trained model's, of the same test images as ``finetuned.frozen``.

    Returns
    -------
    dict
        ``"finetune"``: the outcome, ``verdict`` and ``differences`` (trained minus frozen, by metric). The verdict is
        ``"helped"``, ``"harmed"`` or ``"no difference is shown"`` by image AUROC, ``"unchanged"`` where the state
        before the first step is kept, and ``"not tested"`` where there is nothing to test it by. And ``"adapt"``, where
        images were drifted.
    """
    before = {record.image: record for record in finetuned.frozen}
    pairs = [
        (before[record.image], record)
        for record in records
        if record.score is not None
        and record.label is not None
        and record.image in before
        and before[record.image].score is not None
    ]
    found = image_differences(pairs, METRICS, seed=config.seed, resamples=RESAMPLES, category=category)
    verdict = {"better": "helped", "worse": "harmed", "not shown": "no difference is shown"}.get(
        found.differences["image_auroc"].verdict, "not tested"
    )
    if finetuned.outcome["kept"] == 0:
        verdict = "unchanged"
    return {
        **adapt_facts(config.adapt, copies=keeps_images(finetuned.fitted.detector)),
        "finetune": {
            **finetuned.outcome,
            "verdict": verdict,
            "differences": {name: found.differences[name].to_json() for name in METRICS},
        },
    }
