"""Any registered model as a scikit-learn outlier detector: clone, Pipeline, GridSearchCV, joblib.

scikit-learn is imported by this module alone, and this module by nothing but its users.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from pyimgano.core.conformal import held_out_quantile, images_needed, just_above, split_conformal
from pyimgano.core.creation import create_model, load_model
from pyimgano.core.errors import ParameterError, PyimganoError
from pyimgano.core.images import ImageSequence
from pyimgano.core.parameters import describe_parameters, require
from pyimgano.core.registry import MODELS
from pyimgano.core.seeding import generator
from pyimgano.models.image_tables import find_images
from pyimgano.models.training_images import InOrder

__all__ = ["ImageOutlierDetector"]

_NESTED = "params__"
_FILES = "detector_files_"
_CONTAMINATION = 'a fraction in (0, 0.5], or "auto"'


class ImageOutlierDetector(OutlierMixin, BaseEstimator):
    """A model of pyimgano as a scikit-learn outlier detector.

    **Signs are scikit-learn's here**: ``score_samples`` and ``decision_function`` are higher for *normal* images, and
    ``predict`` says 1 for those, -1 for outliers. Everywhere else in pyimgano a higher score is more anomalous and 1
    means defective: ``score_samples(X) == -detector_.decision_function(X)``, and ``predict(X) == -1`` exactly where
    ``detector_.predict(X) == 1``.

    Parameters
    ----------
    model : str
        A registered model (``pyimgano models list``).
    params : mapping, optional
        Its parameters. ``set_params(params__NAME=value)`` sets a single one, so that ``GridSearchCV`` can search them;
        ``get_params()`` lists all that the model has.
    contamination : "auto" or float in (0, 0.5]
        ``"auto"``: the threshold comes from a part of the images that the model is **not** fitted on
        (``held_out``), so that a good image is taken for an outlier with probability at most ``alpha``. A number:
        scikit-learn's rule, that share of the images that it was fitted on are outliers. Memory banks score what they
        were fitted on lower than anything new, and their thresholds by this rule reject good images.
    alpha : float
        With ``"auto"``: share of good images that may be rejected, in (0, 1).
    held_out : float
        With ``"auto"``: share of the images that is held out for the threshold, in (0, 1); at least one.
    image_shape : (int, int), (int, int, int) or "line", optional
        What a row of a table, (N, H·W) or (N, H·W·C), is: (H, W) or (H, W, C), C being 1, 3 or 4; ``"line"``: an image
        of one line. Needed for tables only.
    value_range : (float, float), optional
        The values of arrays, and of images in files, that are black and white; default: all of uint8's or uint16's,
        [0, 1] of floats.
    use_labels : bool
        Whether ``y`` in ``fit`` counts: 1 for normal, -1 for outliers, which are left out (or learned from, by models
        that do). By default ``y`` is ignored, as by scikit-learn's own outlier detectors.
    random_state : int
        Of the draw of the images that are held out. The model's own seed is one of ``params``.

    Attributes
    ----------
    detector_ : Detector
        The fitted model; its ``threshold_`` is the one of ``predict``.
    offset_ : float
        ``decision_function = score_samples - offset_``; what is below 0 is an outlier.
    n_features_in_ : int
        Columns of the table that it was fitted on; absent where it was no table.

    Notes
    -----
    ``X`` is a list of paths or of arrays (of any sizes), an array (N, H, W) or (N, H, W, C), or a table (N, H·W·C) with
    ``image_shape``.

    An estimator can be pickled, by joblib as well. The fitted model goes as the bytes of the files that its own
    ``save`` writes, and is read back by its ``load``: no object of it is pickled. To keep a model,
    ``detector_.save(folder)`` is better: reading it runs no code.

    Examples
    --------
    >>> search = GridSearchCV(
    ...     ImageOutlierDetector("patchcore", use_labels=True),
    ...     {"params__coreset_sampling_ratio": [0.01, 0.1]},
    ...     scoring="roc_auc",
    ... )  # doctest: +SKIP
    >>> search.fit(paths, labels)  # labels: 1 normal, -1 outlier  # doctest: +SKIP
    """

    detector_: Any
    n_features_in_: int

    def __init__(
        self,
        model: str = "patchcore",
        params: Optional[Mapping[str, Any]] = None,
        *,
        contamination: Union[str, float] = "auto",
        alpha: float = 0.05,
        held_out: float = 0.2,
        image_shape: Union[Sequence[int], str, None] = None,
        value_range: Optional[Sequence[float]] = None,
        use_labels: bool = False,
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.params = params
        self.contamination = contamination
        self.alpha = alpha
        self.held_out = held_out
        self.image_shape = image_shape
        self.value_range = value_range
        self.use_labels = use_labels
        self.random_state = random_state

    @property
    def offset_(self) -> float:
        """What is subtracted from ``score_samples``; it follows ``detector_.threshold_`` where that is set anew."""
        # Ours is score ≥ threshold, scikit-learn's -score < offset: the same for the next number below.
        return -float(np.nextafter(self.detector_.threshold_, -np.inf))

    # -- scikit-learn's methods ----------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> ImageOutlierDetector:
        """Fit the model, and set the threshold.

        Parameters
        ----------
        X : list of path-like or ndarray, or ndarray
            See the notes of the class.
        y : sequence of {1, -1}, optional
            Ignored unless ``use_labels``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When ``X`` or a parameter of this class is not what it may be.
        PyimganoError
            What the model raises: a missing dependency, a parameter out of range, an unreadable image, ….
        """
        self._check_parameters()
        detector = create_model(self.model, **dict(self.params or {}))
        images = self._images(X, fitting=True)
        outlier = self._outliers(y, len(images))
        if self.contamination == "auto":
            threshold = self._fit_and_hold_out(detector, images, outlier)
        else:
            _fit(detector, images, outlier)
            scores = -detector.decision_function(InOrder(images, np.flatnonzero(~outlier)))
            if len(scores) > 1 and scores.min() == scores.max():
                warnings.warn(
                    f"all {len(scores)} images that the model was fitted on score {-scores[0]:g}: they are the same, "
                    "or the model remembers them; either way their scores give no threshold for others: use "
                    'contamination="auto"',
                    UserWarning,
                    stacklevel=2,
                )
            # As scikit-learn: a score equal to the percentile is no outlier's. Ours are where score ≥ threshold.
            limit = np.percentile(scores, 100.0 * float(self.contamination))
            threshold = just_above(np.array([-limit]), 1)
        detector.threshold_ = threshold
        self.detector_ = detector
        self._fitted_model = self.model
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal images are: (N,) float64, the model's scores with the sign turned."""
        check_is_fitted(self, "detector_")
        scores: np.ndarray = -self.detector_.decision_function(self._images(X, fitting=False))
        return scores

    def decision_function(self, X: Any) -> np.ndarray:
        """Return ``score_samples(X) - offset_``: (N,) float64, below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for normal images and -1 for outliers: (N,) int64."""
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    def __sklearn_tags__(self) -> Any:
        """Say what ``X`` may be (scikit-learn 1.6 and later)."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    # -- parameters ----------------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with ``deep``, those of the model as well, as ``params__NAME``.

        Those that ``params`` does not give have the model's defaults. Of a model that is not there, or whose
        dependencies are missing, only what ``params`` gives is listed.
        """
        found: dict[str, Any] = super().get_params(deep=False)
        if deep:
            try:
                known = describe_parameters(MODELS.load(self.model))
            except PyimganoError:
                known = {}
            of_model = {name: description["default"] for name, description in known.items()}
            if isinstance(self.params, Mapping):
                of_model.update(self.params)
            found.update({f"{_NESTED}{name}": value for name, value in of_model.items()})
        return found

    def set_params(self, **params: Any) -> ImageOutlierDetector:
        """Set parameters by name; ``params__NAME`` sets one of the model's, and leaves the mapping given as it was."""
        own = {name: value for name, value in params.items() if not name.startswith(_NESTED)}
        of_model = {name[len(_NESTED) :]: value for name, value in params.items() if name.startswith(_NESTED)}
        known = super().get_params(deep=False)
        for name, value in own.items():
            if name not in known:
                raise ValueError(f"unknown parameter {name!r} of {type(self).__name__}; it has {', '.join(known)}")
            setattr(self, name, value)
        if of_model:
            self.params = {**(self.params or {}), **of_model}
        return self

    def _check_parameters(self) -> None:
        try:
            by_rule = isinstance(self.contamination, str)
            if by_rule:
                require(self.contamination == "auto", "contamination", self.contamination, _CONTAMINATION)
            else:
                share = _is_between(self.contamination, 0.0, 0.5) or self.contamination == 0.5
                require(share, "contamination", self.contamination, _CONTAMINATION)
            for name in ("alpha", "held_out"):
                value = getattr(self, name)
                require(_is_between(value, 0.0, 1.0), name, value, "a fraction between 0 and 1")
            given = self.params is None or isinstance(self.params, Mapping)
            require(given, "params", self.params, "a mapping of the model's parameters, or None")
        except ParameterError as error:
            raise ValueError(str(error)) from error

    # -- fit -----------------------------------------------------------------------------------------------------

    def _outliers(self, y: Any, count: int) -> np.ndarray:
        """Return which images ``y`` calls outliers: (N,) bool."""
        if not self.use_labels or y is None:
            return np.zeros(count, dtype=bool)
        labels = np.asarray(y)
        if labels.shape != (count,):
            raise ValueError(f"y has the shape {labels.shape} for {count} images")
        if not np.isin(labels, (-1, 1)).all():
            raise ValueError("y holds other labels than 1 (normal) and -1 (outlier), and use_labels is True")
        outlier: np.ndarray = labels == -1
        if outlier.all():
            raise ValueError("y calls all images outliers: there is none to fit on")
        return outlier

    def _fit_and_hold_out(self, detector: Any, images: Sequence[Any], outlier: np.ndarray) -> float:
        """Fit on a part of the normal images and return the threshold that the others give."""
        normal = np.flatnonzero(~outlier)
        if len(normal) < 2:
            raise ValueError(
                f"n_samples = {len(normal)} normal image cannot be split into one part to fit on and one for the "
                "threshold: give more images, or a number for contamination"
            )
        count = min(max(1, round(self.held_out * len(normal))), len(normal) - 1)
        held = generator(self.random_state, "held-out").permutation(normal)[:count]
        kept = np.ones(len(images), dtype=bool)
        kept[held] = False
        places = np.flatnonzero(kept)
        _fit(detector, InOrder(images, places), outlier[places])
        scores = detector.decision_function(InOrder(images, np.sort(held)))
        if count >= images_needed(self.alpha):
            return split_conformal(scores, self.alpha)
        warnings.warn(
            f"{count} held-out images are too few for alpha = {self.alpha:g}, which needs {images_needed(self.alpha)}: "
            f"the threshold lies just above their highest score, which rejects a good image with probability "
            f"1/{count + 1}",
            UserWarning,
            stacklevel=3,
        )
        return held_out_quantile(scores, 1e-9)

    def _images(self, X: Any, *, fitting: bool) -> Sequence[Any]:
        images, columns = find_images(X, self.image_shape)
        if fitting:
            if hasattr(self, "n_features_in_"):
                del self.n_features_in_
            if columns is not None:
                self.n_features_in_ = columns
        elif columns is not None and columns != getattr(self, "n_features_in_", columns):
            # scikit-learn's own words, which its checks ask for.
            raise ValueError(
                f"X has {columns} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                "as input"
            )
        if len(images) == 0:
            raise ValueError("0 images: at least one is needed")
        if self.value_range is None:
            return images
        low, high = self.value_range
        return ImageSequence(images, value_range=(low, high))

    # -- pickle --------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        detector = state.pop("detector_", None)
        if detector is not None:
            with tempfile.TemporaryDirectory(prefix="pyimgano-pickle-") as folder:
                detector.save(folder)
                paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
                files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
            # set_params may have changed `model` since it was fitted.
            state[_FILES] = {"model": self._fitted_model, "files": files}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop(_FILES, None)
        super().__setstate__(state)
        if saved is not None:
            with tempfile.TemporaryDirectory(prefix="pyimgano-pickle-") as folder:
                for name, content in saved["files"].items():
                    path = Path(folder) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                self.detector_ = load_model(saved["model"], folder)


def _fit(detector: Any, images: Sequence[Any], outlier: np.ndarray) -> None:
    if outlier.any():
        detector.fit(images, outlier.astype(int).tolist())
    else:
        detector.fit(images)


def _is_between(value: Any, low: float, high: float) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and low < float(value) < high
