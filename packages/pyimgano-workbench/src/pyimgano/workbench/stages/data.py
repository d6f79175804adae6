"""First stage: which images are fitted, held out and tested, in each category. Nothing is fitted before it is sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyimgano.core.batching import read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ConfigError, DatasetError, ImageError
from pyimgano.workbench.calibrate import create_method, require_images
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY

if TYPE_CHECKING:
    from pyimgano.datasets import ContentHashes
    from pyimgano.workbench.config import RunConfig

__all__ = ["CategoryData", "RunData", "prepare_data"]


@dataclass(frozen=True)
class CategoryData:
    """The images of one category.

    Attributes
    ----------
    name : str
        The category; ``"default"`` where the dataset has none.
    fit, calibration : tuple of Sample
        Good images to fit on, and good images that the model does not see until it is calibrated.
    test : tuple of Sample
        Sorted by id; good, defective and unlabelled ones.
    calibration_source : str
        ``"validation"`` or ``"hold-out"``.
    fingerprints : dict
        ``"fit"``, ``"calibration"``, ``"test"`` → SHA-256 over ids and contents.
    skipped : tuple of dict
        ``{"image", "error"}`` of each unreadable training image that was left out.
    notes : tuple of str
        What the split did, in sentences.
    """

    name: str
    fit: tuple[Sample, ...]
    calibration: tuple[Sample, ...]
    test: tuple[Sample, ...]
    calibration_source: str
    fingerprints: dict[str, str]
    skipped: tuple[dict[str, str], ...]
    notes: tuple[str, ...]

    def split(self) -> dict[str, Any]:
        """Return the ids of the three sets and their fingerprints, JSON-friendly."""
        sets = {"fit": self.fit, "calibration": self.calibration, "test": self.test}
        return {
            **{name: [sample.id for sample in samples] for name, samples in sets.items()},
            "calibration_source": self.calibration_source,
            "fingerprints": self.fingerprints,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of images and what was left out, JSON-friendly."""
        labels = [sample.label for sample in self.test]
        return {
            "n_fit": len(self.fit),
            "n_calibration": len(self.calibration),
            "calibration_source": self.calibration_source,
            "n_test": len(self.test),
            "n_test_good": labels.count(0),
            "n_test_defective": labels.count(1),
            "n_test_unlabelled": labels.count(None),
            "fingerprints": self.fingerprints,
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class RunData:
    """All categories of a run, and what the reader said."""

    categories: tuple[CategoryData, ...]
    notes: tuple[str, ...]


def prepare_data(config: RunConfig, progress: Progress) -> RunData:
    """Read the dataset, split it, and refuse at once what would only fail after the fit.

    Raises
    ------
    DatasetError
        When the dataset cannot be read as asked, a category is missing or has no good training image, or one image
        stands in two of the sets.
    ImageError
        When a held-out image is unreadable and ``on_error`` is ``"error"``; it names the file.
    CalibrationError
        When a category has too few held-out images for alpha.
    ConfigError
        When pixel metrics are asked for and there are no masks.
    """
    from pyimgano.datasets import ContentHashes, read_dataset

    dataset = config.dataset
    samples = read_dataset(dataset.root, format=dataset.format, categories=dataset.categories, seed=config.seed)
    if not len(samples):
        raise DatasetError("no images", where=dataset.root, hint=f"pyimgano datasets inspect {dataset.root}")
    hashes = ContentHashes()
    names = samples.categories() or (None,)
    groups = [(name or DEFAULT_CATEGORY, samples.select(category=name)) for name in names]
    categories = [_prepare(name, group, config, hashes, progress) for name, group in groups]
    if config.evaluation.pixel is True and not any(
        sample.masks for data in categories for sample in data.test if sample.label == 1
    ):
        raise ConfigError(
            "evaluation.pixel is true, but no defective test image has a mask",
            where=dataset.root,
            hint="use --set evaluation.pixel=auto, or bring ground-truth masks",
        )
    return RunData(tuple(categories), tuple(samples.notes))


def _prepare(
    name: str, samples: Sequence[Sample], config: RunConfig, hashes: ContentHashes, progress: Progress
) -> CategoryData:
    from pyimgano.datasets import check_disjoint, fingerprint, limit_samples, split_good

    if config.dataset.limit is not None:
        kept: list[Sample] = []
        for part_name in ("train", "validation", "test"):
            part = [sample for sample in samples if sample.split == part_name]
            kept += limit_samples(part, config.dataset.limit, seed=config.seed) if part else []
        samples = kept
    skipped: tuple[dict[str, str], ...] = ()
    if config.on_error == "skip":
        samples, skipped = _without_unreadable(samples, config, progress, name)
    split = split_good(samples, config.calibration.holdout, seed=config.seed)
    test = tuple(sorted((s for s in samples if s.split == "test"), key=lambda sample: sample.id))
    require_images(
        create_method(config.calibration.method, config.calibration.params),
        config.calibration.alpha,
        len(split.calibration),
        where=f"category {name!r}",
        available=len(split.fit) + len(split.calibration),
    )
    check_disjoint(split.fit, split.calibration, test, hashes=hashes)
    if config.on_error == "error":
        # The fit names an unreadable image itself; a held-out one would only be met after it.
        for error in _unreadable(split.calibration, config, progress, f"{name}: check held-out images").values():
            raise error
    sets = {"fit": split.fit, "calibration": split.calibration, "test": test}
    return CategoryData(
        name=name,
        fit=split.fit,
        calibration=split.calibration,
        test=test,
        calibration_source=split.source,
        fingerprints={key: fingerprint(part, hashes=hashes) for key, part in sets.items()},
        skipped=skipped,
        notes=tuple(split.notes),
    )


def _unreadable(samples: Sequence[Sample], config: RunConfig, progress: Progress, title: str) -> dict[str, ImageError]:
    """Decode all images; return id → error of those that cannot be read."""
    from pyimgano.datasets import load_image

    def check(index: int) -> ImageError | None:
        try:
            load_image(samples[index], value_range=config.dataset.value_range)
        except ImageError as error:
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
    samples: Sequence[Sample], config: RunConfig, progress: Progress, name: str
) -> tuple[list[Sample], tuple[dict[str, str], ...]]:
    good = [sample for sample in samples if sample.split in ("train", "validation") and sample.label == 0]
    errors = _unreadable(good, config, progress, f"{name}: check training images")
    skipped = tuple({"image": id, "error": error.message} for id, error in sorted(errors.items()))
    return [sample for sample in samples if sample.id not in errors], skipped
