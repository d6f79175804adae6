"""Regions of an anomaly map: what reaches the pixel threshold, and what of it counts.

The same function finds them for a run's test images, for inference, for masks and for the outlines of overlays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.workbench.evaluate.regions import exact_threshold, label_regions
from pyimgano.workbench.render.maps import map_at

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FoundRegions", "Region", "RegionPolicy", "find_regions"]

MIN_AREA = "min_area"


@dataclass(frozen=True)
class RegionPolicy:
    """What counts as a region, and how many of them a record lists.

    Attributes
    ----------
    min_area : int
        Regions of fewer pixels of the source image are removed. 0 removes none.
    limit : int
        Regions that are listed.
    """

    min_area: int = 0
    limit: int = 20

    def to_json(self) -> dict[str, int]:
        """Return the policy as a JSON-friendly mapping."""
        return {"min_area": self.min_area, "limit": self.limit}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RegionPolicy:
        """Return the policy that :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is none.
        """
        for key, least in (("min_area", 0), ("limit", 1)):
            if type(data[key]) is not int or data[key] < least:
                raise ValueError(f"{key} = {data[key]!r}, not a whole number >= {least}")
        return cls(data["min_area"], data["limit"])


@dataclass(frozen=True)
class Region:
    """Connected pixels (8 neighbours) that reach the pixel threshold.

    Attributes
    ----------
    box : (int, int, int, int)
        x, y, width, height in pixels of the source image.
    area : int
        Pixels.
    score : float
        Highest value of the map in it.
    removed_by : str or None
        Rule that keeps it out of the mask: ``"min_area"``.
    """

    box: tuple[int, int, int, int]
    area: int
    score: float
    removed_by: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """Return the region as a JSON-friendly mapping."""
        known: dict[str, Any] = {"box": list(self.box), "area": self.area, "score": self.score}
        return known if self.removed_by is None else {**known, "removed_by": self.removed_by}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Region:
        """Return the region that :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is none.
        """
        x, y, width, height = data["box"]
        return cls((x, y, width, height), data["area"], data["score"], data.get("removed_by"))


@dataclass(frozen=True, eq=False)
class FoundRegions:
    """The regions of one image.

    Attributes
    ----------
    regions : tuple of Region
        The highest score first. Where there are more than the limit, those that count go before those that were
        removed, so that no number of specks hides a defect.
    left_out : int
        How many more there are.
    mask : ndarray, (H, W) bool
        The pixels of all regions that count, listed or not.
    """

    regions: tuple[Region, ...]
    left_out: int
    mask: np.ndarray


def find_regions(
    anomaly_map: np.ndarray, shape: tuple[int, int], threshold: float, policy: RegionPolicy
) -> FoundRegions:
    """Return the regions of a map at the size of its image.

    Parameters
    ----------
    anomaly_map : ndarray, (h, w) float32
        Raw values that cover the whole image.
    shape : (int, int)
        (H, W) of the image.
    threshold : float
        A pixel is marked where the map, interpolated bilinearly, is ≥ it.
    policy : RegionPolicy
        What counts, and how many are listed.
    """
    import cv2
    import numpy as np

    if _stays_below(anomaly_map, threshold):  # most images are good: nothing to enlarge and to look through
        return FoundRegions((), 0, np.zeros(shape, bool))
    full = map_at(anomaly_map, shape)
    reached = full >= exact_threshold(threshold, full.dtype)
    # Labelling costs more than all the rest: only where there is something.
    x, y, width, height = cv2.boundingRect(reached.view(np.uint8))
    there = (slice(y, y + height), slice(x, x + width))
    marked = np.ascontiguousarray(reached[there])
    if not marked.size:
        return FoundRegions((), 0, reached)
    labels, boxes, areas = label_regions(marked)
    peaks = np.full(areas.size, -np.inf, full.dtype)
    np.maximum.at(peaks, labels[marked] - 1, full[there][marked])
    counts = areas >= policy.min_area
    if not counts.all():
        reached[there] = np.concatenate(([False], counts))[labels]
    by_score = np.lexsort((boxes[:, 0], boxes[:, 1], -peaks))
    places = np.argsort(~counts[by_score], kind="stable")[: policy.limit]
    found = tuple(
        Region(
            (x + int(boxes[one, 0]), y + int(boxes[one, 1]), int(boxes[one, 2]), int(boxes[one, 3])),
            int(areas[one]),
            float(peaks[one]),
            None if counts[one] else MIN_AREA,
        )
        for one in by_score[np.sort(places)]
    )
    return FoundRegions(found, int(areas.size) - len(found), reached)


def _stays_below(anomaly_map: np.ndarray, threshold: float) -> bool:
    """Whether no interpolated value can reach the threshold: it exceeds the map's highest by rounding at most."""
    import numpy as np

    highest = float(anomaly_map.max())
    return highest + 8.0 * float(np.finfo(np.float32).eps) * abs(highest) < threshold
