"""The detector: what every model is to the rest of pyimgano, and a base class that carries the routine."""

from __future__ import annotations

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

from pyimgano.core.batching import ImageBatches
from pyimgano.core.conformal import split_conformal
from pyimgano.core.errors import (
    CheckpointError,
    DatasetError,
    NotCalibratedError,
    NotFittedError,
    ParameterError,
    PyimganoError,
)
from pyimgano.core.state import DETECTOR_JSON, read_state, write_state

if TYPE_CHECKING:
    import os

    import numpy as np

__all__ = ["BaseDetector", "Scores"]

logger = logging.getLogger(__name__)
D = TypeVar("D", bound="BaseDetector")


@dataclass(frozen=True)
class Scores:
    """What one pass over images gives.

    Attributes
    ----------
    image_scores : ndarray, (N,) float64
        Higher is more anomalous. Never clamped, never normalised.
    maps : ndarray, (N, h, w) float32, or None
        Anomaly maps. They cover the whole image, at a resolution of the model's own.
    """

    image_scores: np.ndarray
    maps: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.image_scores)


class BaseDetector(ABC):
    """Base class of detectors that learn from good images.

    A subclass has an ``__init__`` that only stores its parameters under their own names (no ``**kwargs``), and four
    methods: :meth:`_fit`, :meth:`_infer_batch`, :meth:`_get_state`, :meth:`_set_state`. Learned attributes end in
    ``_``. Parameters are validated in :meth:`validate`, not in ``__init__``.

    The contract, which :func:`pyimgano.core.testing.check_detector` checks: scores are finite; an image's score does
    not depend on the batch or the order that it comes in; fitting again equals a fresh fit; ``load(save)`` gives the
    same scores to the last bit; an unreadable image is an error that names it.

    Attributes
    ----------
    batch_size : int
        Images per call of :meth:`_infer_batch`; a class attribute or a parameter.
    threshold_ : float
        Set by :meth:`calibrate` or by hand; ``predict`` says 1 where score ≥ ``threshold_``.
    n_images_ : int
        Number of images that the detector was fitted on.
    """

    batch_size: int = 8
    makes_maps: bool = True
    """False where the parameters leave a model, whose spec says that it has anomaly maps, without them."""

    # -- for authors ---------------------------------------------------------------------------------------------

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range. Needs no data."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Bring one RGB uint8 image (H, W, 3) to the size the model works at; run by the reading threads.

        Must be idempotent, and return RGB uint8. The default returns the image as it is.
        """
        return image

    @abstractmethod
    def _fit(self, images: ImageBatches) -> None:
        """Learn from good images: iterate ``images`` as often as needed for lists of prepared RGB uint8 arrays."""

    @abstractmethod
    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Score prepared images: return (N,) scores and, when ``maps``, (N, h, w) anomaly maps (or None)."""

    @abstractmethod
    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned: arrays by name, and JSON-friendly facts."""

    @abstractmethod
    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Take back what :meth:`_get_state` returned."""

    # -- fit -----------------------------------------------------------------------------------------------------

    def fit(self: D, X: Sequence[Any], y: Optional[Sequence[int]] = None) -> D:
        """Fit on good images.

        Parameters
        ----------
        X : sequence of path-like or ndarray
            Paths, arrays (see :func:`pyimgano.core.images.to_rgb8`), or a sequence that decodes when asked.
        y : sequence of {0, 1}, optional
            Labels; images labelled 1 are left out, and the log says how many.

        Returns
        -------
        self

        Raises
        ------
        DatasetError
            When no image is left to fit on, or ``y`` has another length.
        ImageError
            When an image cannot be read; it names the file.
        ParameterError
            When a parameter is out of range.
        """
        self.validate()
        if y is not None:
            if len(y) != len(X):
                raise DatasetError(f"y has {len(y)} labels for {len(X)} images")
            good = [index for index, label in enumerate(y) if int(label) == 0]
            if len(good) < len(X):
                logger.info("%d of %d images are labelled defective and left out", len(X) - len(good), len(X))
            X = [X[index] for index in good]
        if len(X) == 0:
            raise DatasetError("no good images to fit on", allowed="at least one image labelled 0")
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        self._fit(ImageBatches(X, self.batch_size, prepare=self.prepare))
        self.n_images_ = len(X)
        return self

    def _check_fitted(self) -> None:
        if not hasattr(self, "n_images_"):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted", hint="call fit(images) or load(directory) first"
            )

    # -- infer ---------------------------------------------------------------------------------------------------

    def infer(self, X: Sequence[Any], *, maps: bool = True) -> Scores:
        """Score images, and give their anomaly maps, in one pass.

        Parameters
        ----------
        X : sequence of path-like or ndarray
            See :meth:`fit`.
        maps : bool
            Whether to make anomaly maps where the model has them.

        Returns
        -------
        Scores
            In the order of ``X``.

        Raises
        ------
        NotFittedError
            Before ``fit`` or ``load``.
        ImageError
            When an image cannot be read, or a score is not finite; it names the image.
        """
        import numpy as np

        self._check_fitted()
        scores, all_maps = [], []
        for batch in ImageBatches(X, self.batch_size, prepare=self.prepare):
            batch_scores, batch_maps = self._infer_batch(batch, maps=maps)
            scores.append(np.asarray(batch_scores, dtype=np.float64))
            if batch_maps is not None:
                all_maps.append(np.asarray(batch_maps, dtype=np.float32))
        image_scores = np.concatenate(scores) if scores else np.empty(0)
        finite = np.isfinite(image_scores)
        if not finite.all():
            index = int(np.argmin(finite))
            source = X[index]
            where = f"image {index}" if hasattr(source, "shape") else str(source)
            raise PyimganoError(f"{type(self).__name__} gave the score {image_scores[index]}", where=where)
        return Scores(image_scores, np.concatenate(all_maps) if all_maps else None)

    def decision_function(self, X: Sequence[Any]) -> np.ndarray:
        """Return the anomaly scores of images: (N,) float64, higher is more anomalous."""
        return self.infer(X, maps=False).image_scores

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """Return (N,) int64 labels: 1 (defective) where score ≥ ``threshold_``, else 0.

        Raises
        ------
        NotCalibratedError
            When there is no threshold yet.
        """
        import numpy as np

        self._check_fitted()
        threshold = getattr(self, "threshold_", None)
        if threshold is None:
            raise NotCalibratedError(
                f"this {type(self).__name__} has no threshold",
                hint="call calibrate(good_images, alpha=0.05) with good images that it was not fitted on",
            )
        return (self.decision_function(X) >= threshold).astype(np.int64)

    def predict_anomaly_map(self, X: Sequence[Any]) -> np.ndarray:
        """Return the anomaly maps of images: (N, h, w) float32.

        Raises
        ------
        PyimganoError
            When the model has no maps.
        """
        maps = self.infer(X).maps
        if maps is None:
            raise PyimganoError(f"{type(self).__name__} scores whole images and has no anomaly map")
        return maps

    def get_anomaly_map(self, image: Any) -> np.ndarray:
        """Return the anomaly map of one image (path or array): (h, w) float32."""
        return self.predict_anomaly_map([image])[0]

    def calibrate(self: D, X: Sequence[Any], *, alpha: float = 0.05) -> D:
        """Set ``threshold_`` from good images that the detector was **not** fitted on (split conformal).

        A good image like these is rejected with probability at most ``alpha``.

        Raises
        ------
        CalibrationError
            When there are too few images for ``alpha``; it says how many are needed.
        """
        self.threshold_ = split_conformal(self.decision_function(X), alpha)
        return self

    # -- parameters and state ------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters and their values (``deep`` is there for scikit-learn)."""
        # Asked of the class: a detector without parameters has object's __init__, which claims to take anything.
        names = list(inspect.signature(type(self)).parameters)
        return {name: getattr(self, name) for name in names}

    def set_params(self: D, **params: Any) -> D:
        """Set constructor parameters by name."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ParameterError(f"unknown parameter {name!r}", where=type(self).__name__, allowed=list(known))
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    def save(self, directory: Union[str, os.PathLike[str]]) -> None:
        """Write the fitted detector into a folder: ``state.safetensors`` and ``detector.json``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        PyimganoError
            When the folder cannot be written.
        """
        self._check_fitted()
        arrays, facts = self._get_state()
        record = {
            "class": type(self).__name__,
            "params": self.get_params(),
            "n_images": self.n_images_,
            "threshold": getattr(self, "threshold_", None),
            "facts": facts,
        }
        write_state(Path(directory), arrays, record)

    @classmethod
    def load(cls: type[D], directory: Union[str, os.PathLike[str]]) -> D:
        """Return the detector that :meth:`save` wrote. No code from the folder is run.

        Raises
        ------
        CheckpointError
            When the folder is not a saved detector of this class, or is damaged.
        """
        arrays, record = read_state(Path(directory))
        if record.get("class") != cls.__name__:
            raise CheckpointError(
                f"holds a {record.get('class')}, not a {cls.__name__}", where=str(Path(directory) / DETECTOR_JSON)
            )
        try:
            detector = cls(**record["params"])
            detector._set_state(arrays, record["facts"])
            detector.n_images_ = int(record["n_images"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"does not fit this version of {cls.__name__}: {type(error).__name__}: {error}",
                where=str(Path(directory) / DETECTOR_JSON),
            ) from error
        if record.get("threshold") is not None:
            detector.threshold_ = float(record["threshold"])
        return detector
