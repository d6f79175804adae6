"""Synthetic defects for training and for measuring it: the registered kinds, smaller and weaker than in the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.creation import create_component
from pyimgano.workbench.defects.donors import out_of_place
from pyimgano.workbench.defects.placing import Kind, Placing

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_defect"]

# Faint and small ones too: a model that already ranks every defect first has nothing left to be measured by.
_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("scratch", {"length": (0.05, 0.35), "width": (0.004, 0.015), "contrast": (6.0, 50.0)}),
    ("stain", {"size": (0.015, 0.09), "strength": (0.08, 0.5)}),
    ("foreign", {"size": (0.03, 0.12)}),
)

_SEVERITY = (1, 3)


def add_defect(
    image: np.ndarray,
    chance: np.random.Generator,
    *,
    donor: Callable[[], np.ndarray],
    kinds: Optional[Sequence[Kind]] = None,
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
    kinds : sequence of Kind, optional
        What is drawn from, in severities 1 to 3, in place of scratches, stains and foreign pieces.

    Returns
    -------
    image : ndarray, (H, W, 3) uint8
        A changed copy.
    mask : ndarray, (H, W) bool
        Where it was changed.
    """
    if kinds is not None:
        placed = Placing(kinds, severity=_SEVERITY)(image, chance, donor=donor)
        return placed.image, placed.mask
    name, ranges = _KINDS[int(chance.integers(len(_KINDS)))]
    kind = create_component("defects", name, ranges)
    changed: tuple[np.ndarray, np.ndarray]
    changed = kind(image, chance, donor=out_of_place(donor(), image.shape, chance) if name == "foreign" else None)
    return changed
