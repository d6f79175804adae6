"""Second stage: one detector per category, fitted once and kept as a checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.creation import create_model
from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.images import ImageSequence
from pyimgano.core.parameters import describe_parameters
from pyimgano.core.registry import MODELS
from pyimgano.workbench.augment.copies import DriftedCopies
from pyimgano.workbench.pipeline import load_detector
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.runs.directory import CategoryFolder, make_folder
from pyimgano.workbench.stages.data import CategoryData
from pyimgano.workbench.stages.drifting import drifts_of
from pyimgano.workbench.stages.pipelines import with_pipeline

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["Fitted", "create_bare_model", "create_detector", "fit_category", "fit_detector"]

FIT_JSON = "fit.json"
FIT_SCHEMA = 1


@dataclass(frozen=True)
class Fitted:
    """A fitted detector.

    Attributes
    ----------
    detector : Detector
        As loaded from its checkpoint: what is calibrated and evaluated is what is kept.
    seconds : float
        What the fit took, when it ran.
    resumed : bool
        Whether it was found instead of fitted.
    warnings : tuple of str
        What the model says against itself, e.g. that its weights are random.
    """

    detector: Any
    seconds: float
    resumed: bool
    warnings: tuple[str, ...]


class _Read(ImageSequence):
    """Training images that tell when they are decoded."""

    def __init__(
        self, sources: Sequence[Any], value_range: Optional[tuple[float, float]], advance: Callable[[int], None]
    ) -> None:
        super().__init__(sources, value_range=value_range)
        self._advance = advance

    def __getitem__(self, index: Any) -> Any:
        image = super().__getitem__(index)
        if not isinstance(index, slice):
            self._advance(1)
        return image


def create_detector(config: RunConfig) -> Any:
    """Return the model, unfitted, with the preprocessing and the tiles that the config wants around it."""
    return with_pipeline(config, create_bare_model(config))


def create_bare_model(config: RunConfig) -> Any:
    """Return the model, unfitted. Its seed and batch size are the run's unless its parameters say otherwise."""
    known = describe_parameters(MODELS.load(config.model.name))
    params = dict(config.model.params)
    if "seed" in known:
        params.setdefault("seed", config.seed)
    if "batch_size" in known and config.batch_size is not None:
        params.setdefault("batch_size", config.batch_size)
    return create_model(config.model.name, **params)


def fit_detector(config: RunConfig, samples: Sequence[Sample], progress: Progress, title: str) -> Any:
    """Return a new detector of the run's model, fitted on good images; nothing is saved.

    Where the config wants drifts (``adapt``), it is fitted on drifted copies of the images, too.

    Raises
    ------
    ImageError
        When an image cannot be read; it names the file.
    """
    detector = create_detector(config)
    drifts = drifts_of(config.adapt)
    rounds = 1 if drifts is None else 1 + config.adapt.copies
    with progress.stage(title, rounds * len(samples)) as advance:
        if drifts is None:
            images: Any = _Read([sample.source for sample in samples], config.dataset.value_range, advance)
        else:
            images = DriftedCopies(
                samples,
                drifts,
                copies=config.adapt.copies,
                seed=config.seed,
                value_range=config.dataset.value_range,
                advance=advance,
            )
        detector.fit(images)
    return detector


def fit_category(
    config: RunConfig,
    data: CategoryData,
    folder: CategoryFolder,
    progress: Progress,
    *,
    make: Optional[Callable[[], tuple[Any, float]]] = None,
) -> Fitted:
    """Fit on the good images, save, and load what was saved; or load what an interrupted run has saved.

    Parameters
    ----------
    make : callable, optional
        Returns the fitted detector and the seconds that it took. Default: :func:`fit_detector` on ``data.fit``.

    Raises
    ------
    ImageError
        When a training image cannot be read; it names the file.
    RunError
        When the run was fitted on other images than there are now.
    """

    def fit() -> tuple[Any, float]:
        start = time.perf_counter()
        detector = fit_detector(config, data.fit, progress, f"{data.name}: fit {config.model.name}")
        return detector, time.perf_counter() - start

    mark = folder.checkpoint / FIT_JSON
    resumed = mark.is_file()
    if resumed:
        record = load_json(mark)
        if record.get("fingerprint") != data.fingerprints["fit"]:
            raise RunError(
                f"the training images of {data.name!r} have changed since the detector was fitted",
                where=str(folder.checkpoint),
                hint="start a new run instead of resuming this one",
            )
    else:
        shutil.rmtree(folder.checkpoint, ignore_errors=True)  # a save that was interrupted
        record = _keep(config, data, folder, *(make or fit)())
    detector = load_detector(config.model.name, folder.checkpoint)
    return Fitted(detector, float(record["seconds"]), resumed, tuple(_warnings(folder)))


def _keep(
    config: RunConfig, data: CategoryData, folder: CategoryFolder, detector: Any, seconds: float
) -> dict[str, Any]:
    make_folder(folder.checkpoint)
    detector.save(folder.checkpoint)
    record = {
        "schema_version": FIT_SCHEMA,
        "model": config.model.name,
        "n": len(data.fit),
        "fingerprint": data.fingerprints["fit"],
        "seconds": seconds,
    }
    dump_json(record, folder.checkpoint / FIT_JSON)  # last: it vouches for the rest
    return record


def _warnings(folder: CategoryFolder) -> list[str]:
    """Find what a saved detector's facts call a warning, wherever it stands in them."""
    from pyimgano.core.state import DETECTOR_JSON

    try:
        facts = load_json(folder.checkpoint / DETECTOR_JSON)
    except PyimganoError:  # a detector that is no BaseDetector keeps its state in its own way
        return []
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key == "warning" and isinstance(item, str):
                    found.append(item)
                else:
                    walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(facts)
    return sorted(set(found))
