"""Regions of an anomaly map: what reaches the pixel threshold, and what of it counts.

The same function finds them for a run's test images, for inference, for masks and for the outlines of overlays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.workbench.region_labels import exact_threshold, label_regions
from pyimgano.workbench.region_policy import MAX_AREA, MIN_AREA, OPEN, RegionPolicy
from pyimgano.workbench.region_shapes import closed, extended, filled, length_of, merged, opened
from pyimgano.workbench.render.maps import map_at

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FoundRegions", "Region", "RegionPolicy", "find_regions"]


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
        Rule that keeps it out of the mask: one of :data:`~pyimgano.workbench.region_policy.REMOVING`.
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
    kept : int
        Regions that count, listed or not.
    removed : mapping
        Rule → regions that it took out, listed or not; no key for a rule that took out none.
    """

    regions: tuple[Region, ...]
    left_out: int
    mask: np.ndarray
    kept: int = 0
    removed: Mapping[str, int] = field(default_factory=dict)

    @property
    def last_removed_by(self) -> Optional[str]:
        """The rule that took out the region of the highest score; None where there is none, or one counts."""
        return None if self.kept or not self.regions else self.regions[0].removed_by


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Regions before anything is said of them, in a part of the image.

    Attributes
    ----------
    corner : (int, int)
        x, y of the part.
    labels : ndarray, (h, w) int32
        The number of each pixel's region, from 1.
    boxes, areas, peaks : ndarray, (r, 4), (r,), (r,)
        Boxes in the part.
    """

    corner: tuple[int, int]
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    peaks: np.ndarray


def find_regions(
    anomaly_map: np.ndarray,
    shape: tuple[int, int],
    threshold: float,
    policy: RegionPolicy,
    *,
    low: Optional[float] = None,
    inside: Optional[np.ndarray] = None,
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
    low : float, optional
        What regions extend to (hysteresis); None: the threshold.
    inside : ndarray, (H, W) bool, optional
        The pixels that count: no region reaches beyond them, and no rule counts others.

    Notes
    -----
    The rules come in this order: hysteresis, ``close``, ``open``, ``fill``, ``merge``; then each region is measured,
    and ``min_area`` (with ``min_length``) and ``max_area`` remove those that do not count.
    """
    import numpy as np

    if _stays_below(anomaly_map, threshold):  # most images are good: nothing to enlarge and to look through
        return FoundRegions((), 0, np.zeros(shape, bool))
    full = map_at(anomaly_map, shape)
    reached = full >= exact_threshold(threshold, full.dtype)
    if inside is not None:
        reached &= inside
    if not reached.any():
        return FoundRegions((), 0, reached)
    removed: list[Region] = []
    if low is not None and low < threshold:
        wide = full >= exact_threshold(low, full.dtype)
        reached = extended(reached, wide if inside is None else wide & inside)
    if policy.shapes:
        reached, removed = _shaped(reached, full, policy, inside)
    if not reached.any():
        return _listed(removed, reached, 0, policy)
    found = _label(reached, full)
    if policy.merge:
        found = _merge(found, policy.merge)
    causes = _causes(found, policy)
    x, y = found.corner
    if any(causes):
        height, width = found.labels.shape
        counts = np.array([cause is None for cause in causes])
        reached[y : y + height, x : x + width] = np.concatenate(([False], counts))[found.labels]
    regions = [
        Region((x + int(box[0]), y + int(box[1]), int(box[2]), int(box[3])), int(area), float(peak), cause)
        for box, area, peak, cause in zip(found.boxes, found.areas, found.peaks, causes)
    ]
    return _listed(regions + removed, reached, causes.count(None), policy)


def _label(reached: np.ndarray, full: np.ndarray) -> _Candidates:
    import cv2
    import numpy as np

    # Labelling costs more than all the rest: only where there is something.
    x, y, width, height = cv2.boundingRect(reached.view(np.uint8))
    there = (slice(y, y + height), slice(x, x + width))
    marked = np.ascontiguousarray(reached[there])
    labels, boxes, areas = label_regions(marked)
    peaks = np.full(areas.size, -np.inf, full.dtype)
    np.maximum.at(peaks, labels[marked] - 1, full[there][marked])
    return _Candidates((x, y), labels, boxes, areas, peaks)


def _merge(found: _Candidates, distance: int) -> _Candidates:
    import numpy as np

    numbers = merged(found.labels, found.boxes, distance)
    count = int(numbers.max()) + 1
    if count == numbers.size:
        return found
    low = np.full((count, 2), np.iinfo(np.int32).max)
    high = np.full((count, 2), -1)
    np.minimum.at(low, numbers, found.boxes[:, :2])
    np.maximum.at(high, numbers, found.boxes[:, :2] + found.boxes[:, 2:])
    peaks = np.full(count, -np.inf, found.peaks.dtype)
    np.maximum.at(peaks, numbers, found.peaks)
    areas = np.bincount(numbers, weights=found.areas, minlength=count).astype(np.int64)
    labels = np.concatenate(([0], numbers + 1)).astype(np.int32)[found.labels]
    return _Candidates(found.corner, labels, np.hstack((low, high - low)), areas, peaks)


def _shaped(
    mask: np.ndarray, full: np.ndarray, policy: RegionPolicy, inside: Optional[np.ndarray]
) -> tuple[np.ndarray, list[Region]]:
    """Return the mask after the rules on its pixels, and the regions of which nothing is left."""
    import numpy as np

    removed: list[Region] = []
    if policy.close:
        mask = closed(mask, policy.close)
        mask = mask if inside is None else mask & inside
    if policy.open:
        before = _label(mask, full)
        mask = opened(mask, policy.open)
        (x, y), (height, width) = before.corner, before.labels.shape
        left = np.zeros(before.areas.size + 1, np.bool_)
        left[before.labels[mask[y : y + height, x : x + width]]] = True
        removed = [
            Region(
                (x + int(box[0]), y + int(box[1]), int(box[2]), int(box[3])),
                int(before.areas[one]),
                float(before.peaks[one]),
                OPEN,
            )
            for one, box in enumerate(before.boxes)
            if not left[one + 1]
        ]
    if policy.fill:
        mask = filled(mask)
        mask = mask if inside is None else mask & inside
    return mask, removed


def _causes(found: _Candidates, policy: RegionPolicy) -> list[Optional[str]]:
    """Return for each region the rule that removes it, or None."""
    causes: list[Optional[str]] = []
    for index, area in enumerate(found.areas):
        cause = None
        if policy.max_area is not None and area > policy.max_area:
            cause = MAX_AREA
        elif area < policy.min_area:
            x, y, width, height = found.boxes[index]
            part = found.labels[y : y + height, x : x + width] == index + 1 if policy.min_length else None
            if part is None or length_of(part) < policy.min_length:
                cause = MIN_AREA
        causes.append(cause)
    return causes


def _listed(regions: list[Region], mask: np.ndarray, kept: int, policy: RegionPolicy) -> FoundRegions:
    """Return the regions in their order: those that are listed are the highest, those that count before others."""
    from collections import Counter

    by_score = sorted(regions, key=lambda region: (-region.score, region.box[1], region.box[0]))
    places = sorted(range(len(by_score)), key=lambda place: by_score[place].removed_by is not None)[: policy.limit]
    listed = tuple(by_score[place] for place in sorted(places))
    removed = Counter(region.removed_by for region in regions if region.removed_by is not None)
    return FoundRegions(listed, len(regions) - len(listed), mask, kept, dict(sorted(removed.items())))


def _stays_below(anomaly_map: np.ndarray, threshold: float) -> bool:
    """Whether no interpolated value can reach the threshold: it exceeds the map's highest by rounding at most."""
    import numpy as np

    highest = float(anomaly_map.max())
    return highest + 8.0 * float(np.finfo(np.float32).eps) * abs(highest) < threshold
