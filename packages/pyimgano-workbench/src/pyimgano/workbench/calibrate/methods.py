"""What a way from held-out scores to a threshold is: a component of kind ``threshold``, ours or a third party's.

Three methods are asked of each: ``images_needed``, ``threshold`` and ``guarantee``. What else it may have:

``folds``
    An attribute, the number of folds or ``"jackknife"``: no image is held out; each good image is scored by a model
    that has been fitted without its fold.
``uses_alpha``
    An attribute, False where ``alpha`` does not move the threshold.
``threshold_with_defects(scores, defect_scores, alpha)``, ``defects_needed(alpha)``, ``guarantee_with_defects(alpha, n,
n_defects)``
    Methods of one that wants labelled defective images (``calibration.defects``), too.
``overkill_interval(scores, alpha, threshold)``
    A method that returns the :class:`~pyimgano.workbench.calibrate.interval.OverkillInterval` to expect.
``details(scores, alpha)``
    A method that returns what was fitted on the way, JSON-friendly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union, runtime_checkable

from pyimgano.core.creation import create_component
from pyimgano.core.errors import PluginError
from pyimgano.core.registry import COMPONENTS

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ThresholdMethod", "create_method", "folds_of", "method_names", "takes_defects", "uses_alpha"]


@runtime_checkable
class ThresholdMethod(Protocol):
    """What a component of kind ``threshold`` is; third parties may bring their own."""

    def images_needed(self, alpha: float) -> int:
        """Return the smallest number of held-out good images that ``alpha`` can be kept with."""

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Return the threshold for (n,) float64 scores of held-out good images; defective is score ≥ threshold."""

    def guarantee(self, alpha: float, n: int) -> str:
        """Return in one sentence what the threshold promises."""


def method_names() -> tuple[str, ...]:
    """Return the names of all threshold methods, sorted."""
    return tuple(entry.spec.name for entry in COMPONENTS.entries() if entry.spec.kind == "threshold")


def create_method(name: str, params: Optional[Mapping[str, Any]] = None) -> ThresholdMethod:
    """Return the threshold method called ``name``.

    Raises
    ------
    UnknownNameError, ParameterError, PluginError
        Each says what is allowed.
    """
    method = create_component("threshold", name, params)
    if not isinstance(method, ThresholdMethod):
        raise PluginError(
            f"{type(method).__name__} is no threshold method",
            where=f"threshold {name!r}",
            allowed="an object with images_needed(alpha), threshold(scores, alpha) and guarantee(alpha, n)",
        )
    return method


def folds_of(method: ThresholdMethod) -> Union[int, str, None]:
    """Return the number of folds that a method wants, ``"jackknife"``, or None where images are held out."""
    folds: Union[int, str, None] = getattr(method, "folds", None)
    return folds


def takes_defects(method: ThresholdMethod) -> bool:
    """Say whether a method finds its threshold with the help of labelled defective images."""
    return callable(getattr(method, "threshold_with_defects", None))


def uses_alpha(method: ThresholdMethod) -> bool:
    """Say whether ``alpha`` moves a method's threshold."""
    return bool(getattr(method, "uses_alpha", True))
