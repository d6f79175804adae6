"""Synthetic defects for training and for measuring it: the registered kinds, smaller and weaker than in the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from pyimgano.core.creation import create_component
from pyimgano.workbench.defects.donors import out_of_place

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_defect"]

# Faint and small ones too: a model that already ranks every defect first has nothing left to be measured by.
_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("scratch", {"length": (0.05, 0.35), "width": (0.004, 0.015), "contrast": (6.0, 50.0)}),
    ("stain", {"size": (0.015, 0.09), "strength": (0.08, 0.5)}),
    ("foreign", {"size": (0.03, 0.12)}),
)


def add_defect(
    image: np.ndarray, chance: np.random.Generator, *, donor: Callable[[], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Put one defect of a kind drawn by lot on an image.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
        Not changed.
    chance : Generator
        Source of chance.
    donor : callable
        Returns another image, of which a piece may be pasted; resized and mirrored so that its pattern is out of place.

    Returns
    -------
    image : ndarray, (H, W, 3) uint8
        A changed copy.
    mask : ndarray, (H, W) bool
        Where it was changed.
    """
    name, ranges = _KINDS[int(chance.integers(len(_KINDS)))]
    kind = create_component("defects", name, ranges)
    changed: tuple[np.ndarray, np.ndarray]
    changed = kind(image, chance, donor=out_of_place(donor(), image.shape, chance) if name == "foreign" else None)
    return changed
