"""What a rule on maps is: a component of kind ``postprocess`` with the tag ``map``, ours or a third party's.

Two things are asked of each: to be called with a map, and to say whether it learns. One that learns has four more
methods, see :class:`MapRule`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Protocol

from pyimgano.core.creation import create_component
from pyimgano.core.errors import PluginError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MapRule", "create_rule", "images_needed", "learns"]

LEARNING = ("images_needed", "fit", "state", "restore")


class MapRule(Protocol):
    """A rule on maps; what is below ``__call__`` is asked only of one whose ``learns`` is true."""

    learns: bool

    def __call__(self, anomaly_map: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return the changed map, (h, w) float32; the given one is left as it is.

        Parameters
        ----------
        anomaly_map : ndarray, (h, w) float32
            At the model's own resolution; covers the whole image.
        shape : (int, int)
            (H, W) of the source image.
        """

    def images_needed(self) -> int:
        """Return the smallest number of good images that it can learn from."""

    def fit(self, maps: Sequence[np.ndarray], inside: Sequence[Optional[np.ndarray]]) -> None:
        """Learn from the maps of good images that neither the model nor the threshold is fitted on.

        Parameters
        ----------
        maps : sequence of ndarray, (h, w) float32
            Read when they are asked for; each as often as one likes.
        inside : sequence of ndarray, (h, w) bool, or None
            The pixels that count; None: all.
        """

    def state(self) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Return what was learned: arrays, and JSON-friendly facts."""

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take what :meth:`state` gave."""


def create_rule(name: str, params: Optional[Mapping[str, Any]] = None) -> MapRule:
    """Return the rule called ``name``, which has learned nothing.

    Raises
    ------
    UnknownNameError, ParameterError, PluginError
        Each says what is allowed.
    """
    rule: MapRule = create_component("postprocess", name, params)
    missing = [name for name in LEARNING if not callable(getattr(rule, name, None))] if learns(rule) else []
    if not callable(rule) or missing:
        raise PluginError(
            f"{type(rule).__name__} is no rule on maps" + (f": it learns and has no {missing[0]}" if missing else ""),
            where=f"postprocess {name!r}",
            allowed=f"a callable (map, shape) -> map; one that learns has {', '.join(LEARNING)}, too",
        )
    return rule


def learns(rule: MapRule) -> bool:
    """Say whether a rule learns from good images."""
    return bool(getattr(rule, "learns", False))


def images_needed(rules: Sequence[MapRule]) -> int:
    """Return how many good images the rules need to learn; 0 where none of them learns."""
    return max((rule.images_needed() for rule in rules if learns(rule)), default=0)
