"""Fitted models as artifacts describe them: a config, calibration cards, and a folder of each category's state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, cast

from pyimgano.core.errors import ConfigError, ImageError, PyimganoError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.inference.category import FittedCategory
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.postprocess.processing import UNPROCESSED, PostProcess
from pyimgano.workbench.postprocess.roi import Roi
from pyimgano.workbench.postprocess.rules import learns
from pyimgano.workbench.postprocess.settings import load_kept, read_settings
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY

__all__ = ["ArtifactModels"]


class ArtifactModels(ABC):
    """A :class:`~pyimgano.workbench.inference.models.FittedModels` that is read from files.

    Parameters
    ----------
    config : mapping
        ``model``, ``value_range``, ``regions``, optionally ``postprocess``, and ``categories``: for each its ``name``,
        and optionally its ``roi``.
    cards : mapping
        Category → its calibration card, JSON-friendly.
    base : Path
        The folder that paths in ``config`` are relative to.
    config_file, card_file : str
        Names of the two for errors.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    PyimganoError
        When something is missing or damaged; see :meth:`_damaged`.
    UnknownNameError
        When there is no such category; it lists those that there are.
    """

    noun = "run"
    """What it is called in errors."""

    def __init__(
        self,
        config: Mapping[str, Any],
        cards: Mapping[str, Any],
        *,
        base: Path,
        config_file: str,
        card_file: str,
        category: Optional[str] = None,
    ) -> None:
        self._base = base
        self._config_file = config_file
        try:
            self._entries: dict[str, Mapping[str, Any]] = {str(entry["name"]): entry for entry in config["categories"]}
            if not self._entries:
                raise ValueError("it has no categories")
            self._cards = {name: CalibrationCard.from_json(cards[name], where=card_file) for name in self._entries}
            self._model = str(config["model"])
            low_high = config["value_range"]
            self._value_range = None if low_high is None else (float(low_high[0]), float(low_high[1]))
            self._policy = RegionPolicy.from_json(config["regions"])
            self._settings = config.get("postprocess")
            if self._settings is not None:
                read_settings(self._settings, None)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise self._damaged(f"is damaged: {type(error).__name__}: {error}", config_file) from error
        self._loaded: dict[str, FittedCategory] = {}
        self._statistics: Optional[Mapping[str, Mapping[str, tuple[float, ...]]]] = None
        self._only = None if category is None else self._known(category)

    # -- for subclasses ------------------------------------------------------------------------------------------

    @abstractmethod
    def _state_folder(self, entry: Mapping[str, Any]) -> Path:
        """Return the folder with the state of a category, as its entry in the config says."""

    @abstractmethod
    def _load_detector(self, folder: Path) -> Any:
        """Return the fitted detector of a category."""

    @abstractmethod
    def _damaged(self, message: str, where: Optional[str]) -> PyimganoError:
        """Return the error that says what is wrong with a file."""

    # -- what there is -------------------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """Name of the model that was fitted."""
        return self._model

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories."""
        return tuple(self._entries)

    @property
    def value_range(self) -> Optional[tuple[float, float]]:
        """How the run read its images."""
        return self._value_range

    def card(self, category: str) -> CalibrationCard:
        """Return the calibration card of one category."""
        return self._cards[self._known(category)]

    def image_statistics(self, category: str) -> Mapping[str, tuple[float, ...]]:
        """Return the statistics of a category's calibration images, to find drift by; empty where unknown.

        Raises
        ------
        UnknownNameError
            When there is no such category.
        PyimganoError
            When their file is damaged.
        """
        # Late: who only scores images does not wait for it.
        from pyimgano.workbench.monitor.reference import IMAGE_STATISTICS, load_image_statistics

        name = self._known(category)
        if self._statistics is None:
            try:
                self._statistics = load_image_statistics(self._base / IMAGE_STATISTICS)
            except PyimganoError as error:
                raise self._damaged(error.message, error.where) from error
        return self._statistics.get(name, {})

    @property
    def has_maps(self) -> bool:
        """Whether every category that may be asked for has anomaly maps, and so a pixel threshold."""
        used = self.categories if self._only is None else (self._only,)
        return all(self._cards[name].pixel_threshold is not None for name in used)

    @property
    def decided_by_regions(self) -> bool:
        """Whether regions decide about images, so that no decision can be made without them."""
        return self._policy.decides

    # -- images --------------------------------------------------------------------------------------------------

    def choose(self, source: Source) -> str:
        """Return the category of an image: the one that was chosen, the manifest's, or the only one there is.

        Raises
        ------
        ConfigError
            When several could be meant; it lists them.
        UnknownNameError
            When the manifest names one that there is not.
        """
        if self._only is not None:
            return self._only
        if len(self._entries) == 1 and source.category is None:
            return self.categories[0]
        if source.category is not None:
            return self._known(source.category, where=source.name)
        raise ConfigError(
            f"which category does {source.name} show? The {self.noun} has {len(self._entries)}",
            allowed=", ".join(self._entries),
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
        return self.fitted_category(self.choose(source))

    def fitted_category(self, category: str) -> FittedCategory:
        """Return what scores the images of a category; loads it at its first use.

        Raises
        ------
        UnknownNameError
            When there is no such category.
        CheckpointError
            When the detector cannot be loaded.
        """
        name = self._known(category)
        if name not in self._loaded:
            folder = self._state_folder(self._entries[name])
            self._loaded[name] = FittedCategory(
                None if name == DEFAULT_CATEGORY else name,
                self._load_detector(folder),
                self._cards[name],
                self._value_range,
                self._policy,
                self._processing(name, folder),
            )
        return self._loaded[name]

    def _processing(self, name: str, folder: Path) -> PostProcess:
        """Return what becomes of a category's scores and maps.

        Raises
        ------
        PyimganoError
            When what was learned, or the region of interest, is missing or damaged.
        """
        if self._settings is None:
            return UNPROCESSED
        roi = self._entries[name].get("roi")
        if isinstance(roi, str):
            roi = str(self._base / roi)
        try:
            region = None if roi is None else Roi.from_config(roi, where=self._config_file)
            processing = read_settings(cast("Mapping[str, Any]", self._settings), region)
        except (ConfigError, ImageError) as error:
            raise self._damaged(error.message, error.where) from error
        if any(map(learns, processing.rules)):
            load_kept(processing.rules, folder)
        return processing

    def _known(self, category: str, *, where: Optional[str] = None) -> str:
        if category not in self._entries:
            raise UnknownNameError(
                f"the {self.noun} has no category {category!r}",
                where=where or self._config_file,
                allowed=", ".join(self._entries),
                hint=unknown_name_hint(category, self._entries),
            )
        return category
