"""First stage: which images are fitted, held out and tested, in each category. Nothing is fitted before it is sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.batching import read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import CalibrationError, ConfigError, DatasetError, ImageError
from pyimgano.workbench.calibrate import (
    contradictions,
    create_method,
    folds_of,
    require_defects,
    require_images,
    takes_defects,
)
from pyimgano.workbench.postprocess.processing import PostProcess
from pyimgano.workbench.postprocess.roi import Roi
from pyimgano.workbench.postprocess.settings import configured
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY
from pyimgano.workbench.stages.postprocess_data import category_roi, check_roi_names, share_normalisation
from pyimgano.workbench.stages.tiles import check_tiles

if TYPE_CHECKING:
    from pyimgano.datasets import ContentHashes, GoodSplit
    from pyimgano.workbench.calibrate import ThresholdMethod
    from pyimgano.workbench.config import CalibrationConfig, RunConfig

__all__ = ["CategoryData", "RunData", "prepare_data"]


@dataclass(frozen=True)
class CategoryData:
    """The images of one category.

    Attributes
    ----------
    name : str
        The category; ``"default"`` where the dataset has none.
    fit, calibration : tuple of Sample
        Good images to fit on, and good images that the model does not see until it is calibrated. Both are all good
        images where there are folds.
    test : tuple of Sample
        Sorted by id; good, defective and unlabelled ones.
    calibration_source : str
        ``"validation"``, ``"hold-out"`` or ``"cross"``.
    fingerprints : dict
        ``"fit"``, ``"calibration"``, ``"test"``, and where there are any ``"defects"``, ``"train_defects"`` and
        ``"normalisation"`` → SHA-256 over ids and contents; ``"roi"`` → SHA-256 of the region of interest.
    skipped : tuple of dict
        ``{"image", "error"}`` of each unreadable training image that was left out.
    notes : tuple of str
        What the split did, in sentences.
    defects : tuple of Sample
        Labelled defective images that help to find the threshold.
    folds : tuple of tuple of Sample
        The good images in folds, for cross-conformal calibration; else empty.
    train_defects : tuple of Sample
        Labelled defective training images for a model that learns from such; empty unless asked for.
    normalisation : tuple of Sample
        Held-out good images that rules on maps learn from; none of them is in ``calibration``.
    roi : Roi or None
        What counts of this category's images.
    """

    name: str
    fit: tuple[Sample, ...]
    calibration: tuple[Sample, ...]
    test: tuple[Sample, ...]
    calibration_source: str
    fingerprints: dict[str, str]
    skipped: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    defects: tuple[Sample, ...] = ()
    folds: tuple[tuple[Sample, ...], ...] = ()
    train_defects: tuple[Sample, ...] = ()
    normalisation: tuple[Sample, ...] = ()
    roi: Optional[Roi] = None

    def split(self) -> dict[str, Any]:
        """Return the ids of the three sets and their fingerprints, JSON-friendly."""
        sets = {"fit": self.fit, "calibration": self.calibration, "test": self.test}
        split: dict[str, Any] = {
            **{name: [sample.id for sample in samples] for name, samples in sets.items()},
            "calibration_source": self.calibration_source,
            "fingerprints": self.fingerprints,
        }
        if self.defects:
            split["defects"] = [sample.id for sample in self.defects]
        if self.train_defects:
            split["train_defects"] = [sample.id for sample in self.train_defects]
        if self.normalisation:
            split["normalisation"] = [sample.id for sample in self.normalisation]
        if self.folds:
            split["folds"] = [[sample.id for sample in fold] for fold in self.folds]
        return split

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of images and what was left out, JSON-friendly."""
        labels = [sample.label for sample in self.test]
        learned = {"n_train_defects": len(self.train_defects)} if self.train_defects else {}
        if self.normalisation:
            learned["n_normalisation"] = len(self.normalisation)
        return {
            "n_fit": len(self.fit),
            "n_calibration": len(self.calibration),
            "calibration_source": self.calibration_source,
            "n_calibration_defects": len(self.defects),
            "n_folds": len(self.folds),
            "n_test": len(self.test),
            "n_test_good": labels.count(0),
            "n_test_defective": labels.count(1),
            "n_test_unlabelled": labels.count(None),
            **learned,
            "fingerprints": self.fingerprints,
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class RunData:
    """All categories of a run, and what the reader said."""

    categories: tuple[CategoryData, ...]
    notes: tuple[str, ...]


def prepare_data(config: RunConfig, progress: Progress, *, train_defects: bool = False) -> RunData:
    """Read the dataset, split it, and refuse at once what would only fail after the fit.

    Parameters
    ----------
    train_defects : bool
        Whether the labelled defective images of the train split are given to the model, too.

    Raises
    ------
    DatasetError
        When the dataset cannot be read as asked, a category is missing or has no good training image, or one image
        stands in two of the sets.
    ImageError
        When a held-out image is unreadable and ``on_error`` is ``"error"``; it names the file.
    CalibrationError
        When a category has too few images for alpha, or settings of the calibration contradict each other.
    ConfigError
        When pixel metrics are asked for and there are no masks, or a tile is larger than the images.
    """
    from pyimgano.datasets import ContentHashes, read_dataset

    dataset = config.dataset
    samples = read_dataset(dataset.root, format=dataset.format, categories=dataset.categories, seed=config.seed)
    if not len(samples):
        raise DatasetError("no images", where=dataset.root, hint=f"pyimgano datasets inspect {dataset.root}")
    hashes = ContentHashes()
    names = samples.categories() or (None,)
    check_roi_names(config, [name or DEFAULT_CATEGORY for name in names])
    groups = [(name or DEFAULT_CATEGORY, samples.select(category=name)) for name in names]
    categories = [_prepare(name, group, config, hashes, progress, train_defects) for name, group in groups]
    if config.evaluation.pixel is True and not any(
        sample.masks for data in categories for sample in data.test if sample.label == 1
    ):
        raise ConfigError(
            "evaluation.pixel is true, but no defective test image has a mask",
            where=dataset.root,
            hint="use --set evaluation.pixel=auto, or bring ground-truth masks",
        )
    check_tiles(config, [data.fit[0] for data in categories])
    return RunData(tuple(categories), tuple(samples.notes))


def _prepare(
    name: str,
    samples: Sequence[Sample],
    config: RunConfig,
    hashes: ContentHashes,
    progress: Progress,
    train_defects: bool,
) -> CategoryData:
    from pyimgano.datasets import check_disjoint, fingerprint, limit_samples, split_folds, split_good

    way = _Way.of(config.calibration)
    if config.dataset.limit is not None:
        kept: list[Sample] = []
        for part_name in ("train", "validation", "test"):
            part = [sample for sample in samples if sample.split == part_name]
            kept += limit_samples(part, config.dataset.limit, seed=config.seed) if part else []
        samples = kept
    skipped: tuple[dict[str, str], ...] = ()
    if config.on_error == "skip":
        used = {way.defects, "train"} if train_defects else {way.defects}
        samples, skipped = _without_unreadable(samples, config, progress, name, defects=used)
    split = split_good(samples, config.calibration.holdout, seed=config.seed, cross=way.folds is not None)
    defects = tuple(sorted((s for s in samples if s.label == 1 and s.split == way.defects), key=lambda s: s.id))
    test = tuple(sorted((s for s in samples if s.split == "test"), key=lambda sample: sample.id))
    learned = tuple(sorted((s for s in samples if s.label == 1 and s.split == "train"), key=lambda s: s.id))
    learned = learned if train_defects else ()
    if learned and way.defects == "train":
        raise CalibrationError(
            "the defective training images cannot both be learned from and help to find the threshold",
            where="calibration.defects",
            allowed="none, or validation",
        )
    where = f"category {name!r}"
    split, normalisation = share_normalisation(config, split, needed=way.images_needed(), hashes=hashes, where=where)
    roi = category_roi(config, name)
    way.require(split, len(defects), where=where)
    _refuse_too_many(config, way, len(split.fit), name)
    folds: tuple[tuple[Sample, ...], ...] = ()
    if way.folds is None:
        fit = (*split.fit, *learned)
        check_disjoint(fit, (*split.calibration, *normalisation), test, defects=defects, hashes=hashes)
    else:
        check_disjoint(split.fit, (), test, hashes=hashes)
        folds = split_folds(split.fit, way.folds, seed=config.seed, hashes=hashes)
    fits = configured(config.postprocess, roi)
    if config.on_error == "error" or fits.restricted:
        # The fit names an unreadable image itself; a held-out one would only be met after it.
        scored = split.calibration if not folds or fits.restricted else ()
        held_out = scored + defects + normalisation
        for error in _unreadable(held_out, config, progress, f"{name}: check held-out images", fits=fits).values():
            raise error
    sets = {"fit": split.fit, "calibration": split.calibration, "test": test}
    if defects:
        sets["defects"] = defects
    if learned:
        sets["train_defects"] = learned
    if normalisation:
        sets["normalisation"] = normalisation
    prints = {key: fingerprint(part, hashes=hashes) for key, part in sets.items()}
    if roi is not None:
        prints["roi"] = roi.fingerprint()
    helped = (f"{len(defects)} defective {way.defects} images help to find the threshold.",) if defects else ()
    return CategoryData(
        name=name,
        fit=split.fit,
        calibration=split.calibration,
        test=test,
        calibration_source=split.source,
        fingerprints=prints,
        skipped=skipped,
        notes=_with_learned(split.notes, len(learned)) + helped,
        defects=defects,
        folds=folds,
        train_defects=learned,
        normalisation=normalisation,
        roi=roi,
    )


def _with_learned(notes: Sequence[str], n: int) -> tuple[str, ...]:
    """Say what becomes of the defective training images, where they are not left out."""
    if not n:
        return tuple(notes)
    rest = [note for note in notes if not note.startswith(f"{n} defective training images are left out")]
    return (*rest, f"{n} defective training images are learned from.")


def _refuse_too_many(config: RunConfig, way: _Way, n: int, name: str) -> None:
    """Refuse to leave out one image at a time where the preset that wants it is for few images."""
    from pyimgano.workbench.recipe import preset_facts

    most = preset_facts(config.recipe, config.preset).most_images
    if most is not None and way.folds == "jackknife" and n > most:
        raise CalibrationError(
            f"the preset {config.preset!r} fits a model for each of {n} good images",
            where=f"category {name!r}",
            allowed=f"at most {most} images with this preset",
            hint="use --preset balanced, which holds images out; or --set calibration.params.folds=5",
        )


@dataclass(frozen=True)
class _Way:
    """How the thresholds are found, as far as it decides on the images."""

    methods: tuple[tuple[ThresholdMethod, tuple[float, ...]], ...]
    folds: Union[int, str, None]
    defects: str

    @classmethod
    def of(cls, config: CalibrationConfig) -> _Way:
        method = create_method(config.method, config.params)
        pixel = create_method(config.pixel_method, config.pixel_params) if config.pixel_method else None
        for key, message, hint in contradictions(
            method,
            pixel,
            review_alpha=config.review_alpha,
            pixel_alpha=config.pixel_alpha,
            pixel_params=config.pixel_params,
            defects=config.defects,
        ):
            raise CalibrationError(message, where=f"calibration.{key}", hint=hint)
        alphas = (config.alpha,) if config.review_alpha is None else (config.alpha, config.review_alpha)
        methods = ((method, alphas), (pixel or method, (config.pixel_alpha or config.alpha,)))
        return cls(methods, folds_of(method), config.defects)

    def images_needed(self) -> int:
        """Return how many good images the thresholds want to be found on."""
        return max(method.images_needed(alpha) for method, alphas in self.methods for alpha in alphas)

    def require(self, split: GoodSplit, n_defects: int, *, where: str) -> None:
        """Refuse what too few images are there for."""
        n = len(split.calibration)
        available = n if split.source == "cross" else len(split.fit) + n
        for method, alphas in self.methods:
            for alpha in alphas:
                require_images(method, alpha, n, where=where, available=available, source=split.source)
            if takes_defects(method):
                require_defects(method, alphas[0], n_defects, where=where, source=self.defects)


def _unreadable(
    samples: Sequence[Sample],
    config: RunConfig,
    progress: Progress,
    title: str,
    *,
    fits: Optional[PostProcess] = None,
) -> dict[str, ImageError]:
    """Decode all images; return id → error of those that cannot be read, or do not fit what counts of them."""
    from pyimgano.datasets import load_image

    def check(index: int) -> ImageError | None:
        try:
            image = load_image(samples[index], value_range=config.dataset.value_range)
            if fits is not None:
                fits.inside(image.shape[:2])
        except ImageError as error:
            error.where = error.where or samples[index].id
            return error
        return None

    found: dict[str, ImageError] = {}
    with progress.stage(title, len(samples)) as advance:
        for sample, error in zip(samples, read_ahead(check, len(samples), ahead=8)):
            if error is not None:
                found[sample.id] = error
            advance(1)
    return found


def _without_unreadable(
    samples: Sequence[Sample], config: RunConfig, progress: Progress, name: str, *, defects: set[str]
) -> tuple[list[Sample], tuple[dict[str, str], ...]]:
    used = [
        sample
        for sample in samples
        if sample.split in ("train", "validation")
        and (sample.label == 0 or (sample.label == 1 and sample.split in defects))
    ]
    errors = _unreadable(used, config, progress, f"{name}: check training images")
    skipped = tuple({"image": id, "error": error.message} for id, error in sorted(errors.items()))
    return [sample for sample in samples if sample.id not in errors], skipped
