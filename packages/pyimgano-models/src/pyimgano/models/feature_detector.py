"""The detector on feature vectors: features, steps, and an estimator of rows, for images or for their patches."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Optional, Union

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import CheckpointError, ParameterError
from pyimgano.core.parameters import require
from pyimgano.core.resizing import resize_image
from pyimgano.core.seeding import derive_seed, generator
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.feature_steps import FeatureSteps
from pyimgano.models.image_features import FeatureNames, ImageFeatures, check_features, check_finite
from pyimgano.models.parallel import one_blas_thread
from pyimgano.models.patches import gather_patches
from pyimgano.models.resizing import check_size

__all__ = ["DEFAULT_FEATURES", "DEFAULT_STEPS", "MARGINAL_STEPS", "FeatureDetector", "RowEstimator", "detector_class"]

DEFAULT_FEATURES = ("colour", "lbp", "hog")
DEFAULT_STEPS = ("standardise", "project")
MARGINAL_STEPS = ("standardise", "pca")
"""For estimators that look at one feature at a time: a random mixture of features says little by itself."""
LEVELS = ("image", "patch", "position")


class RowEstimator(ABC):
    """What is fitted on rows of features and scores rows; the part of a detector that is not about images.

    A subclass stores its parameters under their own names.

    Attributes
    ----------
    steps : tuple
        Default of the detector's parameter ``steps``.
    one_row : bool
        Each row must be scored by itself, since its score depends on the others beside it.
    """

    steps: ClassVar[tuple[Any, ...]] = DEFAULT_STEPS
    one_row: bool = False

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""

    @abstractmethod
    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Learn from good rows, (n, D) float64."""

    @abstractmethod
    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return (n,) float scores, higher is more anomalous; ``rows`` are those of one image."""

    @abstractmethod
    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned: arrays by name, and JSON-friendly facts."""

    @abstractmethod
    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take back what :meth:`get_state` returned; ``seed`` is that of the fit."""


class FeatureDetector(BaseDetector):
    """Base of detectors on feature vectors; made by :func:`detector_class`.

    Parameters
    ----------
    features : str, mapping or sequence
        A component of the kind ``features`` (``pyimgano components list``), ``{"name", "params"}``, or a list of these,
        which are joined.
    steps : sequence
        ``"standardise"``, ``"pca"``, ``"project"``, each also as ``{"name", "params"}``: see
        :mod:`pyimgano.models.feature_steps`.
    input_size : int or (int, int)
        Side, or (height, width), that images are brought to before they are described.
    level : {"image", "patch", "position"}
        Whether a row is an image, or a patch; patches make maps, and take features that describe patches. With
        ``"position"`` every position of the grid has an estimator of its own, fitted on the patches there: for aligned
        parts.
    max_patches : int
        With ``level="patch"``: as many patches of the good images are fitted on, drawn by lot by the seed from all of
        them, without repetition; all when there are no more. With ``"position"`` the steps are fitted on so many.
    top_fraction : float
        With maps: the image score is the mean of this fraction of the highest patch scores; 0: the
        highest.
    map_sigma : float
        With maps: standard deviation of a Gaussian blur of the map, in pixels of ``input_size``.
    seed : int
        Of all that is drawn by lot.

    Attributes
    ----------
    features_facts_ : list of dict
        Which features were used.

    Notes
    -----
    The rows of one image are scored together and apart from those of all others: a score cannot depend on the batch.
    """

    estimator_class: ClassVar[type[RowEstimator]]

    features: FeatureNames
    steps: Sequence[Any]
    input_size: Union[int, Sequence[int]]
    level: str
    max_patches: int
    top_fraction: float
    map_sigma: float
    seed: int
    features_facts_: list[dict[str, Any]]
    _image_features: Optional[ImageFeatures] = None

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        check_size(self.input_size, minimum=16)
        require(self.level in LEVELS, "level", self.level, ", ".join(LEVELS))
        require(is_whole(self.max_patches, 1), "max_patches", self.max_patches, "a whole number, at least 1")
        fraction = is_real(self.top_fraction) and 0.0 <= self.top_fraction <= 1.0
        require(fraction, "top_fraction", self.top_fraction, "a fraction in [0, 1]")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "0 or more pixels")
        require(is_whole(self.seed, 0), "seed", self.seed, "a whole number, at least 0")
        check_features(self.features)
        FeatureSteps(self.steps)
        estimator = self._make_estimator()
        estimator.validate()
        if self.level != "image" and estimator.one_row:
            raise ParameterError(
                f"level = {self.level!r}: it scores one row at a time, against all that it was fitted on, and an image "
                "has hundreds of patches",
                where=type(self).__name__,
                allowed="level = 'image'",
            )

    @property
    def makes_maps(self) -> bool:  # type: ignore[override]
        """Whether there are anomaly maps: at any level but that of images."""
        return self.level != "image"

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image to ``input_size``."""
        return resize_image(image, check_size(self.input_size, minimum=16))

    def _make_estimator(self) -> RowEstimator:
        own = inspect.signature(self.estimator_class).parameters
        return self.estimator_class(**{name: getattr(self, name) for name in own})

    def _row_seed(self) -> int:
        return derive_seed(self.seed, "estimator")

    def _fit(self, images: ImageBatches) -> None:
        self._image_features = ImageFeatures(self.features)
        self._steps = FeatureSteps(self.steps)
        if self.level == "position":
            positions = self._gather_positions(images)
            flat = positions.reshape(-1, positions.shape[-1])
            rows = flat[self._drawn(len(flat))]
        else:
            rows = self._gather_images(images) if self.level == "image" else self._gather_patches(images)
        with one_blas_thread():
            values = self._steps.fit(rows, self._image_features.blocks, self.seed)
            parts = [values]
            if self.level == "position":
                parts = [self._steps.apply(positions[:, index]) for index in range(positions.shape[1])]
            self._estimators = []
            for part in parts:
                estimator = self._make_estimator()
                estimator.fit(part, self._row_seed())
                self._estimators.append(estimator)
        self.features_facts_ = self._image_features.facts

    def _gather_images(self, images: ImageBatches) -> np.ndarray:
        assert self._image_features is not None
        found: list[np.ndarray] = []
        for batch in images:
            rows = self._image_features.describe(batch)
            check_finite(rows, images.X, sum(map(len, found)))
            found.append(rows)
        return np.concatenate(found)

    def _gather_positions(self, images: ImageBatches) -> np.ndarray:
        """Return the patches of all images by position, (N, P, D) float32."""
        assert self._image_features is not None
        grids = gather_patches(images, self._image_features.describe_patches)
        check_finite(grids, images.X, 0)
        return grids.reshape(len(grids), -1, grids.shape[-1])

    def _drawn(self, total: int) -> np.ndarray:
        """Return which of so many patches are fitted on, ascending."""
        if total <= self.max_patches:
            return np.arange(total)
        drawn = generator(self.seed, "patches").choice(total, self.max_patches, replace=False)
        return np.sort(drawn)

    def _gather_patches(self, images: ImageBatches) -> np.ndarray:
        """Return the patches that are fitted on: drawn before any is described, so that only they are kept."""
        assert self._image_features is not None
        chosen: Optional[np.ndarray] = None
        found, seen = [], 0
        for batch in images:
            grid = self._image_features.describe_patches(batch)
            check_finite(grid, images.X, seen)
            positions = grid.shape[1] * grid.shape[2]
            if chosen is None:
                chosen = self._drawn(positions * len(images))
            first, last = np.searchsorted(chosen, [seen * positions, (seen + len(batch)) * positions])
            found.append(grid.reshape(-1, grid.shape[-1])[chosen[first:last] - seen * positions])
            seen += len(batch)
        return np.concatenate(found)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        assert self._image_features is not None
        with one_blas_thread():
            if self.level == "image":
                rows = self._image_features.describe(batch)
                return np.array([self._score(row[None])[0] for row in rows]), None
            grids = self._image_features.describe_patches(batch)
            found = np.stack([self._score(g.reshape(-1, g.shape[-1])).reshape(g.shape[:2]) for g in grids])
        scores = np.array([self._top(grid) for grid in found])
        if not maps:
            return scores, None
        return scores, render_maps(found, check_size(self.input_size, minimum=16), sigma=self.map_sigma)

    def _score(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores of one image's rows; NaN, which the detector refuses with the image's name, for NaN."""
        if not np.isfinite(rows).all():
            return np.full(len(rows), np.nan)
        values = self._steps.apply(rows)
        first = self._estimators[0]
        if self.level == "position":
            return np.concatenate([own.score(row[None]) for own, row in zip(self._estimators, values)])
        if first.one_row:
            return np.concatenate([first.score(row[None]) for row in values])
        return np.asarray(first.score(values), dtype=np.float64)

    def _top(self, grid: np.ndarray) -> float:
        count = max(1, round(self.top_fraction * grid.size))
        return float(np.sort(grid, axis=None)[grid.size - count :].mean())

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        states = [estimator.get_state() for estimator in self._estimators]
        own = {
            f"estimator{index}.{name}": array
            for index, (arrays, _) in enumerate(states)
            for name, array in arrays.items()
        }
        facts = {"features": self.features_facts_, "estimators": [facts for _, facts in states]}
        return {**self._steps.arrays(), **own}, facts

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._image_features = ImageFeatures(self.features)
        now = self._image_features.facts
        if now != facts["features"]:
            raise CheckpointError(
                f"it was fitted with other features: {facts['features']}; they are now {now}",
                hint="give the weights and the version of the fit, or fit again",
            )
        self.features_facts_ = now
        self._steps = FeatureSteps(self.steps)
        self._steps.restore(arrays)
        own: list[dict[str, np.ndarray]] = [{} for _ in facts["estimators"]]
        for key, array in arrays.items():
            head, _, name = key.partition(".")
            if head.startswith("estimator"):
                own[int(head[len("estimator") :])][name] = array
        self._estimators = []
        with one_blas_thread():
            for part, learned in zip(own, facts["estimators"]):
                estimator = self._make_estimator()
                estimator.set_state(part, learned, self._row_seed())
                self._estimators.append(estimator)


def _common(steps: tuple[Any, ...]) -> list[inspect.Parameter]:
    """Return the parameters that all detectors on features have."""
    values: dict[str, tuple[Any, str]] = {
        "features": (DEFAULT_FEATURES, "str | Mapping | Sequence"),
        "steps": (steps, "Sequence[str | Mapping]"),
        "input_size": (224, "Union[int, Sequence[int]]"),
        "level": ("image", "str"),
        "max_patches": (10_000, "int"),
        "top_fraction": (0.0, "float"),
        "map_sigma": (4.0, "float"),
        "seed": (0, "int"),
    }
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(n, kind, default=d, annotation=a) for n, (d, a) in values.items()]


def detector_class(name: str, estimator: type[RowEstimator], doc: str, module: str) -> type[FeatureDetector]:
    """Return the detector around an estimator: it has the parameters of both.

    Parameters
    ----------
    name : str
        Of the class; saved detectors name it.
    estimator : type of RowEstimator
        Its signature is the rest of the detector's.
    doc : str
        Docstring.
    module : str
        Module that the class is an attribute of.
    """
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(estimator).parameters.values()
    ]
    parameters = [*_common(estimator.steps), *own]
    twice = {p.name for p in parameters if [q.name for q in parameters].count(p.name) > 1}
    assert not twice, f"{name}: parameters of both the detector and its estimator: {twice}"
    allowed = {parameter.name: parameter.default for parameter in parameters}

    def __init__(self: FeatureDetector, **given: Any) -> None:
        unknown = sorted(set(given) - set(allowed))
        if unknown:
            raise TypeError(f"{name}() got unexpected parameters {', '.join(unknown)}")
        for key, default in allowed.items():
            setattr(self, key, given.get(key, default))

    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([this, *parameters])  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{name}.__init__"
    body = {"__init__": __init__, "__doc__": doc, "__module__": module, "estimator_class": estimator}
    return type(name, (FeatureDetector,), body)
