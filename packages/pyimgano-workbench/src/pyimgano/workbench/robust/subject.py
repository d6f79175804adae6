"""What is tested: a run's detectors with their thresholds, and labelled images that they have not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import ConfigError, DatasetError, RunError
from pyimgano.core.files import sha256_bytes
from pyimgano.workbench.inference import RunModels
from pyimgano.workbench.inference.fitted import load_run_json
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.runs.directory import CALIBRATION_CARD, REPORT_JSON, SPLIT
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY

if TYPE_CHECKING:
    from pyimgano.datasets import ContentHashes

__all__ = ["Subject", "TestImages", "load_subject"]


@dataclass(frozen=True)
class TestImages:
    """The test images of one category.

    Attributes
    ----------
    category : str
        Of the run.
    samples : tuple of Sample
        Good and defective ones, sorted by id; at least one.
    fingerprint : str
        SHA-256 over their ids and contents; empty where nothing was read.
    """

    category: str
    samples: tuple[Sample, ...]
    fingerprint: str

    # pytest takes classes of this name for tests.
    __test__ = False


@dataclass(frozen=True, eq=False)
class Subject:
    """A run, and the images that it is tested on.

    Attributes
    ----------
    models : RunModels
        The run's detectors and cards.
    tests : tuple of TestImages
        By category.
    dataset : Path
        Root that the images were read from.
    own : bool
        Whether the images are those that the run itself was tested on, by content.
    limit : int or None
        Images of each category, at most.
    seed : int
        Of the limit and of the drifts.
    notes : tuple of str
        What a reader should know.
    """

    models: RunModels
    tests: tuple[TestImages, ...]
    dataset: Path
    own: bool
    limit: Optional[int]
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def run(self) -> RunDirectory:
        """The run."""
        return self.models.run

    @property
    def n_images(self) -> int:
        """Images of one condition."""
        return sum(len(test.samples) for test in self.tests)

    def plan(self) -> dict[str, Any]:
        """Return what decides on the results, JSON-friendly: the run, the images, the seed."""
        from pyimgano.core import __version__

        return {
            "version": __version__,
            "run": {"name": self.run.name, "model": self.models.model, "fingerprint": _run_fingerprint(self.run)},
            "dataset": self.dataset.name,
            "own_images": self.own,
            "seed": self.seed,
            "limit": self.limit,
            "categories": {
                test.category: {
                    "threshold": self.models.card(test.category).threshold,
                    "fingerprint": test.fingerprint,
                    "images": [
                        {"image": sample.id, "label": sample.label, "defect": sample.defect} for sample in test.samples
                    ],
                }
                for test in self.tests
            },
        }

    def with_models(self, run: RunDirectory) -> Subject:
        """Return another run's models on the same images.

        Raises
        ------
        ConfigError
            When it lacks a category, or has learned from one of the images.
        """
        models = RunModels(run)
        for test in self.tests:
            if test.category not in models.categories:
                raise ConfigError(
                    f"the run has no category {test.category!r}",
                    where=str(run.path),
                    allowed=", ".join(models.categories),
                )
            split = _split(run)[test.category]
            if split["fingerprints"]["test"] == test.fingerprint:
                continue
            seen = {*split["fit"], *split["calibration"], *split.get("normalisation", ())}
            common = [sample.id for sample in test.samples if sample.id in seen]
            if common and self.own:
                raise ConfigError(
                    f"the run has learned from {len(common)} of the test images, or was calibrated on: {_some(common)}",
                    where=str(run.path),
                    hint="compare runs of the same split",
                )
        return Subject(models, self.tests, self.dataset, self.own, self.limit, self.seed, self.notes)

    def to_request(self) -> dict[str, Any]:
        """Return what :meth:`of_request` makes it from again, in another process."""
        return {
            "run": str(self.run.path.resolve()),
            "seed": self.seed,
            "images": {
                test.category: [[sample.id, str(Path(sample.source).resolve())] for sample in test.samples]
                for test in self.tests
            },
        }

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> Subject:
        """Return the subject of a request; the last one stays loaded. Its images have no labels."""
        return _requested(json.dumps(request))


@lru_cache(maxsize=1)
def _requested(text: str) -> Subject:
    request = json.loads(text)
    tests = tuple(
        TestImages(name, tuple(Sample(id, Path(source)) for id, source in images), "")
        for name, images in request["images"].items()
    )
    models = RunModels(open_run(request["run"]))
    return Subject(models, tests, Path(), own=True, limit=None, seed=request["seed"])


def load_subject(
    run: RunDirectory, *, dataset: Optional[Path] = None, limit: Optional[int] = None, seed: int = 0
) -> Subject:
    """Find a run's models and the images to test them on.

    Parameters
    ----------
    run : RunDirectory
        Complete.
    dataset : path, optional
        A folder or manifest. Where it holds the run's test images, these are taken; else its own test images. Default:
        the run's dataset, where the config says that it lies.
    limit : int, optional
        Images of each category, at most: a choice by seed in which every label and kind of defect keeps its share.
    seed : int
        Of that choice, and of the drifts.

    Raises
    ------
    RunError
        When the run is damaged.
    DatasetError
        When images of the run are missing in its dataset or have changed; it names them. When there are no labelled
        test images.
    """
    models = RunModels(run)
    split = _split(run)
    for name in models.categories:
        if name not in split:
            raise RunError(f"has no category {name!r}", where=str(run.path / "artifacts" / SPLIT))
    root, samples = _read(run, dataset)
    found = _by_category(samples, models.categories, root)
    from pyimgano.datasets import ContentHashes, fingerprint

    hashes = ContentHashes()
    own, problem = _own_images(found, split, hashes)
    notes: list[str] = []
    if own is None and dataset is None:
        raise DatasetError(
            str(problem), where=str(root), hint="--dataset PATH says where the dataset lies now, or names another one"
        )
    if own is None:
        own = {name: tuple(s for s in part.values() if s.split == "test") for name, part in found.items()}
        notes.append(f"{root.name} is tested as another dataset than the run's own: {problem}")
    chosen, more = _chosen(own, limit, seed, root)
    tests = tuple(TestImages(name, part, fingerprint(part, hashes=hashes)) for name, part in sorted(chosen.items()))
    return Subject(models, tests, root, not notes, limit, seed, (*notes, *more))


def _split(run: RunDirectory) -> Mapping[str, Any]:
    path = run.path / "artifacts" / SPLIT
    data = load_run_json(path)
    categories = data.get("categories") if isinstance(data, dict) else None
    if not isinstance(categories, dict):
        raise RunError("has no 'categories'", where=str(path), hint="the run is damaged: make a new one")
    return categories


def _read(run: RunDirectory, dataset: Optional[Path]) -> tuple[Path, Samples]:
    from pyimgano.datasets import read_dataset

    config = run.config(check_dataset=False)
    if dataset is not None:
        return dataset, read_dataset(dataset, seed=config.seed)
    root = Path(config.dataset.root)
    if not root.exists():
        raise DatasetError(
            "the run's dataset is not there", where=str(root), hint="--dataset PATH says where it lies now"
        )
    data = config.dataset
    return root, read_dataset(root, format=data.format, categories=data.categories, seed=config.seed)


def _by_category(samples: Samples, known: Sequence[str], root: Path) -> dict[str, dict[str, Sample]]:
    """Return category of the run → id → sample."""
    names = samples.categories()
    if len(known) == 1 and len(names) < 2:  # one kind of part on both sides, whatever it is called
        return {known[0]: {sample.id: sample for sample in samples.samples}}
    common = [name for name in known if name in names]
    if not common:
        here = ", ".join(names) or "no categories"
        raise DatasetError(f"has none of the run's categories, but {here}", where=str(root), allowed=", ".join(known))
    return {name: {sample.id: sample for sample in samples.select(category=name)} for name in common}


def _own_images(
    found: Mapping[str, Mapping[str, Sample]], split: Mapping[str, Any], hashes: ContentHashes
) -> tuple[Optional[dict[str, tuple[Sample, ...]]], Optional[str]]:
    """Return the run's test images by category, or None and what keeps them from being just these."""
    from pyimgano.datasets import fingerprint

    own: dict[str, tuple[Sample, ...]] = {}
    for name, part in split.items():
        if name not in found:
            return None, f"the category {name!r} of the run is missing"
        missing = [id for id in part["test"] if id not in found[name]]
        if missing:
            return (
                None,
                f"{len(missing)} of the {len(part['test'])} test images of the run are missing: {_some(missing)}",
            )
        own[name] = tuple(found[name][id] for id in part["test"])
        if fingerprint(own[name], hashes=hashes) != part["fingerprints"]["test"]:
            return None, f"the test images of {name!r} have the same names as in the run, but other contents"
    return own, None


def _chosen(
    own: Mapping[str, Sequence[Sample]], limit: Optional[int], seed: int, root: Path
) -> tuple[dict[str, tuple[Sample, ...]], list[str]]:
    from pyimgano.datasets import limit_samples

    chosen: dict[str, tuple[Sample, ...]] = {}
    notes = []
    unlabelled = sum(sample.label is None for part in own.values() for sample in part)
    if unlabelled:
        notes.append(f"{unlabelled} test images without a label are left out")
    for name, part in own.items():
        labelled = sorted((sample for sample in part if sample.label is not None), key=lambda sample: sample.id)
        if not labelled:
            raise DatasetError(
                "no labelled test images" + ("" if name == DEFAULT_CATEGORY else f" of {name!r}"),
                where=str(root),
                hint="drift is measured on test images that are known to be good or defective",
            )
        chosen[name] = tuple(labelled) if limit is None else limit_samples(labelled, limit, seed=seed)
        for label, kind, what in ((0, "good", "overkill"), (1, "defective", "recall")):
            if not any(sample.label == label for sample in chosen[name]):
                place = "" if name == DEFAULT_CATEGORY else f"{name}: "
                notes.append(f"{place}no {kind} test images, so {what} is not defined")
    return chosen, notes


def _run_fingerprint(run: RunDirectory) -> str:
    """Return what tells runs apart, wherever they lie and whatever they are called."""
    parts = (run.path / REPORT_JSON, run.path / "artifacts" / CALIBRATION_CARD)
    try:
        return sha256_bytes(b"".join(path.read_bytes() for path in parts))
    except OSError as error:
        raise RunError(f"cannot read: {error.strerror or error}", where=str(error.filename)) from error


def _some(names: Sequence[Union[str, Path]]) -> str:
    shown = ", ".join(str(name) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
