"""PyOD's detectors on feature vectors: one class for each, made of PyOD's own signature when it is asked for.

A fitted PyOD detector could come back from disk only by pickle, which runs what stands in the file. Instead its good
rows are saved, and it is fitted on them again when it is loaded, with the same seed: what it draws by lot follows from
that. Some scores are saved beside the rows, and a detector that does not give them again (because PyOD, scikit-learn or
torch are others now) is refused.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import io
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyimgano.core.errors import CheckpointError, MissingDependencyError, ParameterError
from pyimgano.models.feature_detector import (
    DEFAULT_STEPS,
    MARGINAL_STEPS,
    FeatureDetector,
    RowEstimator,
    detector_class,
)
from pyimgano.models.pyod_table import PYOD_DETECTORS, PyodEntry
from pyimgano.models.seeded_random import seeded_random

__all__ = ["PyodRows", "pyod_detector"]

SEEDS = ("random_state", "random_seed")
OURS = (*SEEDS, "verbose", "n_features")
"""Parameters that are not the user's: the detector's seed, silence, the number of features."""
RENAMED = {"batch_size": "pyod_batch_size"}
"""A detector's ``batch_size`` is a number of images."""
DETECTORS_GIVEN = {"detector_list": ("knn", "lof", "iforest"), "base_estimator": None, "base_estimators": None}
"""Parameters that take detectors: here, names of PyOD's detectors as in ``pyod-<name>``; and their defaults."""
PROBES = 4
"""Good rows whose scores are saved."""


class PyodRows(RowEstimator):
    """A detector of PyOD as an estimator of rows; a subclass for each is made by :func:`pyod_detector`."""

    entry: ClassVar[PyodEntry]
    parameters: ClassVar[Mapping[str, str]]
    """Ours → PyOD's."""

    @property
    def one_row(self) -> bool:  # type: ignore[override]
        """Whether rows are scored one at a time."""
        return self.entry.scored in ("single", "beside")

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when PyOD refuses a parameter, or we the detector."""
        if self.entry.scored == "refused":
            raise ParameterError(
                f"PyOD's {self.entry.path.partition(':')[2]} does not score new images: {self.entry.why}",
                where=f"model 'pyod-{self.entry.name}'",
                hint="pyimgano models list --tag pyod",
            )
        with _apart(0):
            self._make(2, 0)

    def _make(self, n_features: int, seed: int) -> Any:
        factory = pyod_class(self.entry)
        known = inspect.signature(factory).parameters
        given = {theirs: copy.deepcopy(getattr(self, ours)) for ours, theirs in self.parameters.items()}
        for name in DETECTORS_GIVEN:
            if given.get(name) is not None:
                given[name] = _members(given[name], name, seed)
        own = {"n_features": n_features, "verbose": 0, **dict.fromkeys(SEEDS, seed)}
        try:
            return factory(**given, **{name: value for name, value in own.items() if name in known})
        except (ValueError, TypeError, AssertionError) as error:
            raise ParameterError(f"PyOD refuses the parameters: {error}", where=f"pyod-{self.entry.name}") from error

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Fit PyOD's detector on the rows, as float32 has them: so they are saved."""
        self._rows = np.ascontiguousarray(rows, dtype=np.float32)
        self._seed = seed
        with _apart(seed):
            self._detector = self._make(rows.shape[1], seed)
            try:
                self._detector.fit(self._rows.astype(np.float64))
            except (ValueError, TypeError, IndexError, ArithmeticError, RuntimeError, NameError) as error:
                raise ParameterError(
                    f"PyOD cannot fit it on {len(rows)} rows of {rows.shape[1]} features: {error}",
                    where=f"pyod-{self.entry.name}",
                    hint="more good images, fewer features (steps), or other parameters",
                ) from error

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return PyOD's scores."""
        beside = self.entry.scored == "beside"
        asked = np.concatenate([self._rows.astype(np.float64), rows]) if beside else rows
        with _apart(self._seed):
            scores = np.asarray(self._detector.decision_function(asked), dtype=np.float64).ravel()
        return scores[-len(rows) :]

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the rows, and what some of them score."""
        return {"rows": self._rows, "probes": self._probes()}, {"versions": _versions()}

    def _probes(self) -> np.ndarray:
        chosen = self._rows[:PROBES].astype(np.float64)
        return np.concatenate([self.score(row[None]) for row in chosen])

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Fit again on the rows, and see that they score what they scored.

        Raises
        ------
        CheckpointError
            When they do not.
        """
        self.fit(arrays["rows"], seed)
        now = self._probes()
        if not np.allclose(now, arrays["probes"], rtol=1e-6, atol=1e-9, equal_nan=True):
            worst = int(np.argmax(np.abs(now - arrays["probes"])))
            raise CheckpointError(
                f"fitted again on the saved features, it scores one {now[worst]:.6g} that scored "
                f"{arrays['probes'][worst]:.6g}: versions {facts['versions']} then, {_versions()} now",
                hint="install the versions of the fit, or fit again",
            )


def _members(given: Any, parameter: str, seed: int) -> Any:
    """Return PyOD's detectors for names of them; one for one name."""
    names = [given] if isinstance(given, str) else given
    known = {e.name: e for e in PYOD_DETECTORS if e.scored == "native" and e.family not in ("deep", "ensemble")}
    if not isinstance(names, Sequence) or not all(isinstance(name, str) and name in known for name in names):
        raise ParameterError(f"{parameter} = {given!r}", allowed="names of: " + ", ".join(sorted(known)))
    made = []
    for name in names:
        factory = pyod_class(known[name])
        seeds = [key for key in SEEDS if key in inspect.signature(factory).parameters]
        made.append(factory(**dict.fromkeys(seeds, seed)))
    return made[0] if isinstance(given, str) else made


@contextlib.contextmanager
def _apart(seed: int) -> Iterator[None]:
    """Keep what PyOD does to itself: its random numbers, its threads, what it prints, what it warns of."""
    with seeded_random(seed), _same_threads(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _same_threads() -> Iterator[None]:
    """Leave torch as many threads as it had: numba, which PyOD uses, may set the number for the OpenMP that both use.

    What torch trains has other last digits with another number of threads.
    """
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    try:
        yield
    finally:
        if torch is not None and torch.get_num_threads() != before:
            torch.set_num_threads(before)


def _versions() -> dict[str, str]:
    from importlib import import_module

    return {name: str(import_module(name).__version__) for name in ("pyod", "sklearn", "numpy")}


def pyod_class(entry: PyodEntry) -> Any:
    """Import the class of an entry.

    Raises
    ------
    MissingDependencyError
        When the PyOD that is installed does not have it.
    """
    module, _, name = entry.path.partition(":")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module(f"pyod.models.{module}"), name)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != f"pyod.models.{module}":
            raise
        raise MissingDependencyError(
            f"the PyOD that is installed has no {name}",
            where=f"model 'pyod-{entry.name}'",
            hint="pip install --upgrade pyod",
        ) from error


def pyod_detector(entry: PyodEntry) -> type[FeatureDetector]:
    """Return the detector on features around one of PyOD's, with the parameters of PyOD's own constructor."""
    factory = pyod_class(entry)
    theirs = {
        name: parameter
        for name, parameter in inspect.signature(factory).parameters.items()
        if name not in OURS and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    names = {RENAMED.get(name, name): name for name in theirs}
    defaults = {
        ours: DETECTORS_GIVEN.get(name, None)
        if theirs[name].default is inspect.Parameter.empty
        else theirs[name].default
        for ours, name in names.items()
    }
    kind = inspect.Parameter.KEYWORD_ONLY

    def __init__(self: PyodRows, **given: Any) -> None:
        for name, default in defaults.items():
            setattr(self, name, given.get(name, default))

    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [inspect.Parameter(name, kind, default=default) for name, default in defaults.items()]
    __init__.__signature__ = inspect.Signature([this, *own])  # type: ignore[attr-defined]
    class_name = factory.__name__
    estimator = type(
        f"{class_name}Rows",
        (PyodRows,),
        {
            "__init__": __init__,
            "entry": entry,
            "parameters": names,
            "steps": _steps(entry),
        },
    )
    module = entry.path.partition(":")[0]
    doc = f"""PyOD's ``{class_name}`` on feature vectors: {entry.title}.

    Beyond those of :class:`~pyimgano.models.feature_detector.FeatureDetector`, the parameters are PyOD's own (see
    ``pyod.models.{module}``); ``seed`` stands for its ``random_state``. Scored: {entry.scored}, see
    :mod:`pyimgano.models.pyod_table`.
    """
    # Its own name for each entry: two of PyOD's have one.
    return detector_class(f"Pyod_{entry.name.replace('-', '_')}", estimator, doc, __name__)


def _steps(entry: PyodEntry) -> tuple[Any, ...]:
    if entry.steps:
        return entry.steps
    return MARGINAL_STEPS if entry.family == "marginal" or entry.name == "iforest" else DEFAULT_STEPS


def __getattr__(name: str) -> type[FeatureDetector]:
    """Make the class of ``pyod-<name>`` when it is first asked for."""
    for entry in PYOD_DETECTORS:
        if entry.name.replace("-", "_") == name and entry.scored != "not-applicable":
            made = pyod_detector(entry)
            globals()[name] = made
            return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
