"""What counts as a region, how many of them a record lists, and whether they or the score decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from pyimgano.workbench.config import RegionConfig

__all__ = ["MAX_AREA", "MIN_AREA", "NO_REGION", "OPEN", "REMOVING", "RegionPolicy"]

MIN_AREA, MAX_AREA, OPEN = "min_area", "max_area", "open"

REMOVING = (MIN_AREA, MAX_AREA, OPEN)
"""Rules that remove regions."""

NO_REGION = "no-region"
"""Stands for a rule where the map reaches the pixel threshold nowhere."""


@dataclass(frozen=True)
class RegionPolicy:
    """What counts as a region, and what follows from it.

    Attributes
    ----------
    min_area : int
        Regions of fewer pixels of the source image are removed. 0 removes none.
    limit : int
        Regions that are listed.
    min_length : int
        A region of fewer pixels than ``min_area`` stays if it is at least so long, see
        :func:`~pyimgano.workbench.region_shapes.length_of`. 0: the area alone counts.
    max_area : int or None
        Regions of more pixels are removed.
    hysteresis : float or None
        Low threshold, as a fraction of the way from what good images usually show to the pixel threshold.
    hysteresis_alpha : float or None
        Instead, the alpha that it is calibrated with.
    close, open : int
        Radius of the disc that closes gaps, or that what stays must have room for; 0 does nothing.
    fill : bool
        Whether holes are filled.
    merge : int
        Regions with no more than so many pixels between them become one; 0 does nothing.
    decide : {"score", "regions"}
        Whether an image is defective by its score, or where a region is left.
    """

    min_area: int = 0
    limit: int = 20
    min_length: int = 0
    max_area: Optional[int] = None
    hysteresis: Optional[float] = None
    hysteresis_alpha: Optional[float] = None
    close: int = 0
    open: int = 0
    fill: bool = False
    merge: int = 0
    decide: str = "score"

    @property
    def shapes(self) -> bool:
        """Whether a rule changes the pixels of regions."""
        return self.close > 0 or self.open > 0 or self.fill

    @property
    def plain(self) -> bool:
        """Whether every region counts as it is, and the score decides."""
        return self == RegionPolicy(limit=self.limit)

    @property
    def decides(self) -> bool:
        """Whether regions decide about images."""
        return self.decide == "regions"

    @classmethod
    def of(cls, config: RegionConfig) -> RegionPolicy:
        """Return the policy of a run config."""
        return cls(**{name.name: getattr(config, name.name) for name in dataclasses.fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """Return the policy as a JSON-friendly mapping: area and limit, and of the rest what is set."""
        own, plain = dataclasses.asdict(self), dataclasses.asdict(RegionPolicy())
        return {name: value for name, value in own.items() if name in ("min_area", "limit") or value != plain[name]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RegionPolicy:
        """Return the policy that :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is none.
        """
        policy = cls(**{**data, "min_area": data["min_area"], "limit": data["limit"]})
        least = {"min_area": 0, "limit": 1, "min_length": 0, "max_area": 1, "close": 0, "open": 0, "merge": 0}
        for key, lowest in least.items():
            value = getattr(policy, key)
            if (type(value) is not int or value < lowest) and not (key == "max_area" and value is None):
                raise ValueError(f"{key} = {value!r}, not a whole number >= {lowest}")
        for key in ("hysteresis", "hysteresis_alpha"):
            value = getattr(policy, key)
            if value is not None and not (type(value) is float and 0.0 < value < 1.0):
                raise ValueError(f"{key} = {value!r}, not a number between 0 and 1")
        if type(policy.fill) is not bool or policy.decide not in ("score", "regions"):
            raise ValueError(f"fill = {policy.fill!r}, decide = {policy.decide!r}")
        return policy
