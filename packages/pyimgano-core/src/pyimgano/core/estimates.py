"""What a fit will need, told before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol, runtime_checkable

__all__ = ["Estimable", "ResourceEstimate"]


@dataclass(frozen=True)
class ResourceEstimate:
    """What fitting on so many images will need, and scoring after it.

    Sizes follow from shapes and are exact; times are measured on a few images and extrapolated, on this machine and as
    busy as it is. What a model cannot tell is None, and never a guess.

    Attributes
    ----------
    state_bytes : int
        Bytes of the arrays that the fitted detector saves.
    working_bytes : int or None
        Bytes that the fit holds at its peak beyond what scoring the few images took: what grows with the number of
        images, and the state.
    fit_seconds : float or None
        Time of the fit.
    image_seconds : float or None
        Time to score one image, reading included.
    patches : int or None
        Feature vectors that the fit looks at, of models with a memory bank.
    bank : (int, int) or None
        Rows and dimension of the memory bank.
    steps : int or None
        Training steps, of models that are trained.
    assumptions : tuple of str
        How the times were extrapolated, one sentence each.
    """

    state_bytes: int
    working_bytes: Optional[int] = None
    fit_seconds: Optional[float] = None
    image_seconds: Optional[float] = None
    patches: Optional[int] = None
    bank: Optional[tuple[int, int]] = None
    steps: Optional[int] = None
    assumptions: tuple[str, ...] = ()


@runtime_checkable
class Estimable(Protocol):
    """A model that can tell what its fit will need."""

    def resource_estimate(self, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
        """Return what a fit on ``n_images`` images like those of ``sample`` needs; takes a second or two.

        Neither the detector's parameters nor anything that it has learned changes. ``sample`` is as in ``fit``: some
        good images, fewer than ``n_images``.

        Raises
        ------
        pyimgano.core.errors.PyimganoError
            When an image cannot be read, or weights are missing.
        """
