"""The ways from held-out good scores to a threshold: components of kind ``threshold``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Protocol, runtime_checkable

from pyimgano.core.conformal import held_out_quantile, images_needed, split_conformal
from pyimgano.core.creation import create_component
from pyimgano.core.errors import PluginError
from pyimgano.core.registry import COMPONENTS

if TYPE_CHECKING:
    import numpy as np

__all__ = ["HeldOutQuantile", "SplitConformal", "ThresholdMethod", "create_method", "method_names"]


@runtime_checkable
class ThresholdMethod(Protocol):
    """What a component of kind ``threshold`` is; third parties may bring their own."""

    def images_needed(self, alpha: float) -> int:
        """Return the smallest number of held-out good images that ``alpha`` can be kept with."""

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Return the threshold for (n,) float64 scores of held-out good images; defective is score ≥ threshold."""

    def guarantee(self, alpha: float, n: int) -> str:
        """Return in one sentence what the threshold promises."""


class SplitConformal:
    """Split conformal calibration: the overkill of new good images is at most ``alpha``, whatever the scores' law."""

    def images_needed(self, alpha: float) -> int:
        """Return ⌈1/alpha⌉ − 1."""
        return images_needed(alpha)

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """See :func:`pyimgano.core.conformal.split_conformal`."""
        return split_conformal(scores, alpha)

    def guarantee(self, alpha: float, n: int) -> str:
        """Return the bound, and what it rests on."""
        return (
            f"A new good image is rejected with probability at most {alpha:g}, provided that it is exchangeable with "
            f"the n = {n} held-out good images (same product, camera and light)."
        )


class HeldOutQuantile:
    """The (1 − alpha) quantile of the held-out scores."""

    def images_needed(self, alpha: float) -> int:
        """Return 1: there is always a quantile."""
        return 1

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """See :func:`pyimgano.core.conformal.held_out_quantile`."""
        return held_out_quantile(scores, alpha)

    def guarantee(self, alpha: float, n: int) -> str:
        """Say that there is none for new images."""
        return (
            f"At most {alpha:g} of the n = {n} held-out good images themselves are rejected; nothing is guaranteed for "
            "new ones."
        )


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
