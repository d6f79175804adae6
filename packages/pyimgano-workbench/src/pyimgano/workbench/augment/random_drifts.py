"""Drifts drawn by lot, several on one image: what a model learns from beside the images as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.creation import create_component
from pyimgano.core.parameters import require
from pyimgano.workbench.augment.augmentation import SEVERITIES, Augmentation

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DEFAULT_DRIFTS", "DriftChoice", "RandomDrifts"]


@dataclasses.dataclass(frozen=True)
class DriftChoice:
    """One drift that images may get.

    Parameters
    ----------
    name : str
        A component of kind ``augment``.
    params : mapping
        Its parameters, without the severity.
    severity : (int, int)
        Lowest and highest severity; each between them is as likely.
    probability : float
        Share of the images that get it, above 0 and at most 1.

    Raises
    ------
    ParameterError
        When severities or probability are out of range.
    """

    name: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    severity: tuple[int, int] = (1, 3)
    probability: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        low, high = self.severity
        ordered = low in SEVERITIES and high in SEVERITIES and low <= high
        require(ordered, "severity", self.severity, "[low, high], whole numbers from 1 to 5", where=self.name)
        require(0.0 < self.probability <= 1.0, "probability", self.probability, "above 0, at most 1", where=self.name)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a config."""
        return {
            "name": self.name,
            "params": dict(self.params),
            "severity": list(self.severity),
            "probability": self.probability,
        }


# In the order of the way of light: where the part lies, what shines on it, the lens, the sensor.
DEFAULT_DRIFTS: tuple[DriftChoice, ...] = tuple(
    DriftChoice(name) for name in ("rotation", "shift", "exposure", "light-gradient", "defocus", "sensor-noise")
)
"""What every line has in small measure, 1.8 of them on an image on average. Left out is what not every line has:
another white balance (a monochrome camera has none), what covers parts of the image (glare, shadow, dust) or bends it.
"""


class RandomDrifts:
    """Puts drifts on images by lot, each with its own probability, in their order.

    Parameters
    ----------
    choices : sequence of DriftChoice
        At least one.

    Raises
    ------
    UnknownNameError, ParameterError, MissingDependencyError, PluginError
        When a component cannot be made with one of its severities; says what is allowed or what to install.
    """

    def __init__(self, choices: Sequence[DriftChoice] = DEFAULT_DRIFTS) -> None:
        require(len(choices) > 0, "choices", list(choices), "at least one drift")
        self.choices = tuple(choices)
        self._made: list[list[Augmentation]] = [
            [
                create_component("augment", choice.name, {**choice.params, "severity": severity})
                for severity in range(choice.severity[0], choice.severity[1] + 1)
            ]
            for choice in self.choices
        ]

    def __call__(
        self,
        image: np.ndarray,
        rng: np.random.Generator,
        *,
        mask: Optional[np.ndarray] = None,
        always: bool = False,
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return an image and its mask after the drifts that were drawn.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            Not changed; returned itself where no drift was drawn.
        rng : Generator
            Source of chance.
        mask : ndarray, (H, W) bool, optional
            Where the image is defective; it follows what moves pixels.
        always : bool
            Whether an image that would get none gets one by lot, more probable ones more often.

        Returns
        -------
        image : ndarray, (H, W, 3) uint8
        mask : ndarray, (H, W) bool, or None
        """
        import numpy as np

        weights = np.array([choice.probability for choice in self.choices])
        # All lots before the first drift: what one of them draws changes no other's turn.
        drawn = rng.uniform(size=len(weights)) < weights
        places = [int(rng.integers(len(severities))) for severities in self._made]
        if always and not drawn.any():
            drawn[int(rng.choice(len(weights), p=weights / weights.sum()))] = True
        for chosen, place, severities in zip(drawn, places, self._made):
            if chosen:
                image, mask = severities[place](image, rng, mask=mask)
        return image, mask
