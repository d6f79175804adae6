"""The detectors of a run, loaded when the first image of their category comes by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from pyimgano.core.errors import ConfigError, ImageError, PyimganoError, RunError, UnknownNameError
from pyimgano.core.files import load_json
from pyimgano.core.names import unknown_name_hint
from pyimgano.workbench.calibrate import CalibrationCard
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.monitor.reference import load_image_statistics
from pyimgano.workbench.pipeline import load_detector
from pyimgano.workbench.postprocess.processing import UNPROCESSED, PostProcess
from pyimgano.workbench.postprocess.roi import Roi
from pyimgano.workbench.postprocess.rules import learns
from pyimgano.workbench.postprocess.settings import load_kept, read_settings
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.runs.directory import (
    CALIBRATION_CARD,
    IMAGE_STATISTICS,
    INFER_CONFIG,
    INFER_SCHEMA,
)
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY
from pyimgano.workbench.scoring import ScoredImage, score_stream
from pyimgano.workbench.verdict import Judge

__all__ = ["FittedCategory", "RunModels"]


@dataclass(frozen=True, eq=False)
class FittedCategory:
    """What scores the images of one category.

    Attributes
    ----------
    category : str or None
        What records say; None for a run of a dataset without categories.
    detector : Detector
        As it was saved by the run.
    card : CalibrationCard
        Threshold and held-out scores.
    value_range : (float, float) or None
        How the run read its images.
    policy : RegionPolicy
        Which regions of its maps count, as in the run.
    processing : PostProcess
        What becomes of its scores and maps, as in the run.
    image_statistics : mapping of str to tuple of float
        Statistics of the calibration images (:data:`~pyimgano.workbench.monitor.STATISTICS`), by which drift is found;
        empty where the run has recorded none.
    """

    category: Optional[str]
    detector: Any
    card: CalibrationCard
    value_range: Optional[tuple[float, float]] = None
    policy: RegionPolicy = field(default_factory=RegionPolicy)
    processing: PostProcess = UNPROCESSED
    image_statistics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def judge(self) -> Judge:
        """What says which regions there are, and whether an image is defective."""
        return Judge(self.card, self.policy, self.processing)

    def stream(
        self,
        sources: Iterable[Any],
        *,
        batch_size: Optional[int] = None,
        maps: bool = True,
        on_error: str = "record",
        change: Optional[Callable[[Any, Any], Any]] = None,
    ) -> Iterator[ScoredImage]:
        """Score images as :func:`~pyimgano.workbench.scoring.score_stream` does, and process what it yields.

        Maps are made wherever a score or a decision needs them, also without ``maps``.
        """
        raw = score_stream(
            self.detector,
            sources,
            batch_size=batch_size,
            value_range=self.value_range,
            maps=maps or self.judge.needs_maps,
            on_error=on_error,
            change=change,
        )
        return self.processing.stream(raw, on_error=on_error)


class RunModels:
    """The detectors of a complete run. Reads its artifacts only: neither its dataset nor its config is needed.

    Parameters
    ----------
    run : RunDirectory
        A complete run, wherever it has been moved to.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    RunError
        When an artifact is missing or damaged.
    UnknownNameError
        When the run has no such category; it lists those it has.
    """

    def __init__(self, run: RunDirectory, *, category: Optional[str] = None) -> None:
        self.run = run
        self._artifacts = run.path / "artifacts"
        self._config = run.infer_config()
        version = self._config.get("schema_version")
        if version != INFER_SCHEMA:
            older = isinstance(version, int) and version < INFER_SCHEMA
            raise RunError(
                f"not of version {INFER_SCHEMA}: {version!r}",
                where=str(self._artifacts / INFER_CONFIG),
                hint="an older program wrote it: make the run again, with pyimgano train --config RUN/config.json"
                if older
                else None,
            )
        cards = _object(
            load_run_json(self._artifacts / CALIBRATION_CARD), "categories", self._artifacts / CALIBRATION_CARD
        )
        where = str(self._artifacts / CALIBRATION_CARD)
        try:
            self._checkpoints = {entry["name"]: entry["checkpoint"] for entry in self._config["categories"]}
            self._cards = {name: CalibrationCard.from_json(cards[name], where=where) for name in self._checkpoints}
            self._model = str(self._config["model"])
            low_high = self._config["value_range"]
            self._value_range = None if low_high is None else (float(low_high[0]), float(low_high[1]))
            self._policy = RegionPolicy.from_json(self._config["regions"])
            self._rois = {entry["name"]: entry.get("roi") for entry in self._config["categories"]}
            self._settings = self._config.get("postprocess")
            if self._settings is not None:
                read_settings(self._settings, None)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise RunError(
                f"is damaged: {type(error).__name__}: {error}", where=str(self._artifacts / INFER_CONFIG)
            ) from error
        self._loaded: dict[str, FittedCategory] = {}
        self._image_statistics: Optional[Mapping[str, Mapping[str, tuple[float, ...]]]] = None
        self._only = None if category is None else self._known(category)

    @property
    def model(self) -> str:
        """Name of the run's model."""
        return self._model

    @property
    def categories(self) -> tuple[str, ...]:
        """The run's categories."""
        return tuple(self._checkpoints)

    @property
    def value_range(self) -> Optional[tuple[float, float]]:
        """How the run read its images."""
        return self._value_range

    def card(self, category: str) -> CalibrationCard:
        """Return the calibration card of one category."""
        return self._cards[self._known(category)]

    def image_statistics(self, category: str) -> Mapping[str, tuple[float, ...]]:
        """Return the statistics of a category's calibration images; empty where the run has recorded none.

        Raises
        ------
        RunError
            When their file is damaged.
        """
        if self._image_statistics is None:
            self._image_statistics = load_image_statistics(self._artifacts / IMAGE_STATISTICS)
        return self._image_statistics.get(self._known(category), {})

    @property
    def has_maps(self) -> bool:
        """Whether every category that may be asked for has anomaly maps, and so a pixel threshold."""
        return all(self._cards[name].pixel_threshold is not None for name in self._used())

    @property
    def decided_by_regions(self) -> bool:
        """Whether regions decide about images, so that no decision can be made without them."""
        return self._policy.decides

    def _used(self) -> tuple[str, ...]:
        return self.categories if self._only is None else (self._only,)

    def choose(self, source: Source) -> str:
        """Return the category of an image: the one that was chosen, the manifest's, or the only one there is.

        Raises
        ------
        ConfigError
            When several could be meant; it lists them.
        UnknownNameError
            When the manifest names one that the run does not have.
        """
        if self._only is not None:
            return self._only
        if len(self._checkpoints) == 1 and source.category is None:
            return self.categories[0]
        if source.category is not None:
            return self._known(source.category, where=source.name)
        raise ConfigError(
            f"which category does {source.name} show? The run has {len(self._checkpoints)}",
            allowed=", ".join(self._checkpoints),
            hint=f"--category {self.categories[0]}, or a manifest with the column 'category'",
        )

    def fitted(self, source: Source) -> FittedCategory:
        """Return what scores an image; loads it at its first use.

        Raises
        ------
        ConfigError, UnknownNameError
            See :meth:`choose`.
        CheckpointError
            When the detector cannot be loaded.
        """
        name = self.choose(source)
        if name not in self._loaded:
            checkpoint = (self._artifacts / self._checkpoints[name]).resolve()
            self._loaded[name] = FittedCategory(
                None if name == DEFAULT_CATEGORY else name,
                load_detector(self._model, checkpoint),
                self._cards[name],
                self._value_range,
                self._policy,
                self._processing(name, checkpoint),
                self.image_statistics(name),
            )
        return self._loaded[name]

    def _processing(self, name: str, checkpoint: Path) -> PostProcess:
        """Return what becomes of a category's scores and maps.

        Raises
        ------
        CheckpointError, RunError
            When what was learned, or the region of interest, is missing or damaged.
        """
        if self._settings is None:
            return UNPROCESSED
        roi = self._rois[name]
        if isinstance(roi, str):
            roi = str(self._artifacts / roi)
        where = str(self._artifacts / INFER_CONFIG)
        try:
            processing = read_settings(self._settings, None if roi is None else Roi.from_config(roi, where=where))
        except (ConfigError, ImageError) as error:
            raise RunError(error.message, where=error.where, hint="the run is damaged: make a new one") from error
        if any(map(learns, processing.rules)):
            load_kept(processing.rules, checkpoint)
        return processing

    def _known(self, category: str, *, where: Optional[str] = None) -> str:
        if category not in self._checkpoints:
            raise UnknownNameError(
                f"the run has no category {category!r}",
                where=where or str(self.run.path),
                allowed=", ".join(self._checkpoints),
                hint=unknown_name_hint(category, self._checkpoints),
            )
        return category


def load_run_json(path: Any) -> Any:
    """Read a JSON file of a run; what is wrong with it is wrong with the run."""
    try:
        return load_json(path)
    except PyimganoError as error:
        raise RunError(error.message, where=error.where, hint="the run is damaged: make a new one") from error


def _object(data: Any, key: str, path: Any) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, dict):
        raise RunError(f"has no {key!r}", where=str(path), hint="the run is damaged: make a new one")
    return value
