"""Metrics of pixels at ground-truth resolution, on raw maps, in constant memory.

A map is loaded when it is needed and dropped again. The exact metrics keep the scores of defective pixels, and take
a second look at images that have some; the binned ones keep a histogram, and look once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from pyimgano.core.batching import read_ahead
from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.binned import BINS, Histogram
from pyimgano.workbench.evaluate.curves import pr_points, pro_points, roc_points, thin
from pyimgano.workbench.evaluate.intervals import proportion
from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.ranking import Ranking, RegionPixels
from pyimgano.workbench.evaluate.regions import count_regions, true_regions
from pyimgano.workbench.region_labels import exact_threshold

if TYPE_CHECKING:
    import numpy as np

    Load = Callable[[int], tuple[np.ndarray, ...]]

__all__ = ["AUPRO_LIMITS", "PixelResults", "pixel_metrics", "undefined_pixel_metrics"]

AUPRO_LIMITS = (0.3, 0.05)


@dataclass(frozen=True)
class PixelResults:
    """What maps are worth.

    Attributes
    ----------
    metrics : dict of str to Metric
        ``pixel_auroc``, ``pixel_ap``, ``pixel_f1max`` (with its threshold), ``pixel_aupro`` (up to 0.3) and
        ``pixel_aupro_<limit>``; at a given threshold ``pixel_segf1``, ``pixel_region_recall`` and
        ``pixel_false_regions_per_good_image``.
    curves : dict of str to list of [x, y, threshold]
        ``"roc"`` (false-positive rate, recall), ``"pr"`` (recall, precision) and ``"pro"`` (false-positive rate,
        overlap), thinned; no key where not defined.
    region_counts : dict of int to (int, int)
        Position of an image with defective pixels → ground-truth regions that the threshold finds, and all.
    """

    metrics: dict[str, Metric]
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    region_counts: dict[int, tuple[int, int]] = field(default_factory=dict)


def undefined_pixel_metrics(
    reason: str, limits: Sequence[float] = AUPRO_LIMITS, n: Optional[dict[str, int]] = None
) -> dict[str, Metric]:
    """Return all pixel metrics without values."""
    names = ["pixel_auroc", "pixel_ap", "pixel_f1max", *map(_aupro_name, limits)]
    names += ["pixel_segf1", "pixel_region_recall", "pixel_false_regions_per_good_image"]
    return {name: Metric.undefined(reason, **(n or {})) for name in names}


def pixel_metrics(
    load: Load,
    defective: Sequence[bool],
    *,
    limits: Sequence[float] = AUPRO_LIMITS,
    threshold: Optional[float] = None,
    left_out: int = 0,
    mode: str = "exact",
    min_area: int = 0,
    regions_of: Optional[Callable[[int], int]] = None,
) -> PixelResults:
    """Return pixel AUROC, AP, F1max and AUPRO, what a threshold does, and the curves.

    Parameters
    ----------
    load : callable
        ``load(i)`` returns image i's raw map, (H, W) of a float type, and its ground truth, (H, W), not 0 where
        defective. Called by several threads; in exact mode twice for images that may have defective pixels. A third
        array, (H, W) bool, if there is one, says which pixels count; the others are none, and a region of the ground
        truth is what of it counts.
    defective : sequence of bool
        For each image whether its ground truth may hold defective pixels. The others are the good images.
    limits : sequence of float
        False-positive rates up to which AUPRO integrates, in (0, 1].
    threshold : float, optional
        The calibrated one: a pixel is predicted where its score is ≥ it.
    left_out : int
        Images whose defective pixels are not known, for the report.
    mode : {"exact", "binned"}
        Binned: from a histogram, in one pass; each of the threshold-free metrics then comes with its ``error``: the
        exact value is at most so far away.
    min_area : int
        Predicted regions of fewer pixels are not counted among the false ones.
    regions_of : callable, optional
        ``regions_of(i)`` returns the predicted regions of good image i that count, where other rules than ``min_area``
        find them.

    Raises
    ------
    ParameterError
        When a map's value is not finite, a mask has another shape than its map, a good image has defective pixels, the
        types of maps are mixed (64 bits where others have fewer), or a parameter is not as described.

    Notes
    -----
    Regions are connected components with 8 neighbours. In AUPRO a region's pixels weigh 1 / its size, so that a small
    one counts as much as a large one. ``pixel_segf1`` is MVTec AD 2's: precision and recall over the pixels of all
    images together. A region is found if any of its pixels is predicted.

    References
    ----------
    P. Bergmann et al., *The MVTec Anomaly Detection Dataset*, IJCV 2021 (AUPRO). L. Heckler-Kram et al., *The MVTec
    AD 2 Dataset*, 2025 (SegF1).
    """
    wrong = [limit for limit in limits if not 0.0 < limit <= 1.0]
    if wrong:
        raise ParameterError(f"{wrong[0]!r}", where="limits", allowed="rates in (0, 1]")
    if mode not in ("exact", "binned"):
        raise ParameterError(f"{mode!r}", where="mode", allowed="'exact' or 'binned'")
    if threshold is not None and not math.isfinite(threshold):
        raise ParameterError(f"{threshold}", where="threshold", allowed="a finite number")
    scan = _Scan(load, [bool(flag) for flag in defective], threshold, min_area, regions_of)
    free: dict[str, Metric] = {}
    curves: dict[str, list[list[float]]] = {}
    whole = _exact(scan) if mode == "exact" else _binned(scan)
    n = {"images": len(scan.defective), "regions": scan.n_regions, "defective_pixels": scan.n_defective}
    if left_out:
        n["images_without_ground_truth"] = left_out
    reason = None
    if not scan.n_defective:
        reason = "no defective pixels in the ground truth"
    elif not scan.n_good:
        reason = "no good pixels in the ground truth"
    if reason is not None or whole is None:
        free = undefined_pixel_metrics(str(reason), limits, n)
    else:
        n["good_pixels"] = scan.n_good
        free = _threshold_free(whole, limits, scan.n_regions, n)
        points = _points(whole, scan.n_regions)
        curves = {name: thin(points[name]) for name in points}
    return PixelResults({**free, **_at_threshold(scan, reason, n)}, curves, scan.region_counts)


class _Part(NamedTuple):
    """What an image gives."""

    n_good: int
    good: Optional[np.ndarray]
    defective: np.ndarray
    regions: Optional[np.ndarray]
    areas: Optional[np.ndarray]
    predicted_good: int
    predicted_regions: int


class _Scan:
    """Goes through the images, and counts what depends on no order of the scores."""

    def __init__(
        self,
        load: Load,
        defective: list[bool],
        threshold: Optional[float],
        min_area: int,
        regions_of: Optional[Callable[[int], int]],
    ) -> None:
        self.load = load
        self.regions_of = regions_of
        self.defective = defective
        self.threshold = threshold
        self.min_area = min_area
        self.n_good = 0
        self.n_defective = 0
        self.n_regions = 0
        self.predicted_good = 0
        self.predicted_defective = 0
        self.false_regions = 0
        self.region_counts: dict[int, tuple[int, int]] = {}

    def read(self, index: int, *, ranking: Optional[Ranking] = None, keep_good: bool = False) -> _Part:
        """Load an image and split its pixels, count the good ones in a ranking, or keep them; any thread may."""
        import numpy as np

        loaded = self.load(index)
        values, mask = _checked(loaded[0], loaded[1], index)
        if mask.any() and not self.defective[index]:
            raise ParameterError("a good image has defective pixels", where=f"image {index}")
        inside = loaded[2] if len(loaded) > 2 else None
        if inside is not None:
            mask = mask & inside
        marked = bool(mask.any())
        predicted_good = predicted_regions = 0
        if inside is not None:
            good = values[inside & ~mask]
        else:
            good = values[~mask] if marked else values.ravel()
        if self.threshold is not None:
            level = exact_threshold(self.threshold, values.dtype)
            predicted_good = int(np.count_nonzero(good >= level))
            if not self.defective[index]:
                if self.regions_of is not None:
                    predicted_regions = self.regions_of(index)
                else:
                    reached = values >= level
                    reached = reached if inside is None else reached & inside
                    predicted_regions = count_regions(reached, min_area=self.min_area)
        if ranking is not None:
            ranking.add_good(_same_type(good, ranking.dtype, index))
            nothing = np.empty(0, values.dtype)
            return _Part(int(good.size), None, nothing, None, None, predicted_good, predicted_regions)
        regions = areas = None
        if marked:
            regions, areas = true_regions(mask)
        return _Part(
            int(good.size),
            good if keep_good else None,
            values[mask] if marked else np.empty(0, values.dtype),
            regions,
            areas,
            predicted_good,
            predicted_regions,
        )

    def see_defective(self, index: int, part: _Part) -> None:
        """Count the defective pixels and regions of an image."""
        import numpy as np

        if part.regions is None or part.areas is None:
            return
        self.n_defective += int(part.defective.size)
        self.n_regions += int(part.areas.size)
        found = 0
        if self.threshold is not None:
            predicted = part.defective >= exact_threshold(self.threshold, part.defective.dtype)
            self.predicted_defective += int(np.count_nonzero(predicted))
            found = int(np.count_nonzero(np.bincount(part.regions[predicted], minlength=part.areas.size)))
            self.region_counts[index] = (found, int(part.areas.size))

    def see_good(self, part: _Part) -> None:
        """Count the good pixels of an image, and what is predicted there."""
        self.n_good += part.n_good
        self.predicted_good += part.predicted_good
        self.false_regions += part.predicted_regions


def _exact(scan: _Scan) -> Optional[Ranking]:
    """Rank the defective pixels, then count the good ones of all images against them."""
    ranking = _rank_defective(scan)

    def read(index: int) -> _Part:
        return scan.read(index, ranking=ranking)

    for part in read_ahead(read, len(scan.defective), ahead=4):
        scan.see_good(part)
    return ranking


def _rank_defective(scan: _Scan) -> Optional[Ranking]:
    import numpy as np

    marked = [index for index, flag in enumerate(scan.defective) if flag]
    pixels = RegionPixels()
    areas: list[np.ndarray] = []
    for index, part in zip(marked, read_ahead(lambda position: scan.read(marked[position]), len(marked), ahead=4)):
        if part.regions is None or part.areas is None:
            continue
        scores = part.defective if pixels.dtype is None else _same_type(part.defective, pixels.dtype, index)
        pixels.add(scores, part.regions + np.int32(scan.n_regions))
        areas.append(part.areas)
        scan.see_defective(index, part)
    if not areas:
        return None
    return Ranking.of_regions(pixels, 1.0 / np.concatenate(areas))


def _binned(scan: _Scan) -> Histogram:
    """Count all pixels in bins."""
    import numpy as np

    histogram = Histogram()
    for index, part in enumerate(
        read_ahead(lambda index: scan.read(index, keep_good=True), len(scan.defective), ahead=4)
    ):
        assert part.good is not None
        weights = np.empty(0)
        if part.regions is not None and part.areas is not None:
            weights = (1.0 / part.areas)[part.regions]
        histogram.add(part.good, part.defective, weights)
        scan.see_defective(index, part)
        scan.see_good(part)
    return histogram


def _threshold_free(whole: Any, limits: Sequence[float], n_regions: int, n: dict[str, int]) -> dict[str, Metric]:
    if isinstance(whole, Ranking):
        f1, best = whole.f1_max()
        metrics = {
            "pixel_auroc": Metric(whole.auroc(), n),
            "pixel_ap": Metric(whole.average_precision(), n),
            "pixel_f1max": Metric(f1, n, facts={"threshold": best}),
        }
        for limit in limits:
            metrics[_aupro_name(limit)] = Metric(whole.aupro(limit, n_regions), n, facts={"limit": limit})
        return metrics
    f1, error, best = whole.f1_max()
    measured: dict[str, tuple[float, float, dict[str, Any]]] = {
        "pixel_auroc": (*whole.auroc(), {}),
        "pixel_ap": (*whole.average_precision(), {}),
        "pixel_f1max": (f1, error, {"threshold": best}),
    }
    for limit in limits:
        measured[_aupro_name(limit)] = (*whole.aupro(limit, n_regions), {"limit": limit})
    return {
        name: Metric(value, n, facts={"error": error, "bins": BINS, **facts})
        for name, (value, error, facts) in measured.items()
    }


def _points(whole: Any, n_regions: int) -> dict[str, np.ndarray]:
    if isinstance(whole, Ranking):
        return {"roc": roc_points(whole), "pr": pr_points(whole), "pro": pro_points(whole, n_regions)}
    points: dict[str, np.ndarray] = whole.points(n_regions)
    return points


def _at_threshold(scan: _Scan, reason: Optional[str], n: dict[str, int]) -> dict[str, Metric]:
    """Return what the calibrated threshold does."""
    n_good_images = scan.defective.count(False)
    names = ("pixel_segf1", "pixel_region_recall", "pixel_false_regions_per_good_image")
    if scan.threshold is None:
        return {name: Metric.undefined("no pixel threshold", **n) for name in names}
    facts = {"threshold": scan.threshold}
    metrics = {name: Metric.undefined(str(reason), **n) for name in names}
    if scan.n_defective:
        f1 = 2.0 * scan.predicted_defective / (scan.n_defective + scan.predicted_defective + scan.predicted_good)
        metrics[names[0]] = Metric(f1, n, facts=facts)
        found = sum(found for found, _ in scan.region_counts.values())
        metrics[names[1]] = proportion(found, scan.n_regions, "regions", **facts)
    if n_good_images:
        facts = {"count": scan.false_regions, **facts, "min_area": scan.min_area}
        metrics[names[2]] = Metric(scan.false_regions / n_good_images, {"good": n_good_images}, facts=facts)
    else:
        metrics[names[2]] = Metric.undefined("no good test images", good=0)
    return metrics


def _checked(anomaly_map: Any, truth: Any, index: int) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    values, mask = np.asarray(anomaly_map), np.asarray(truth)
    if values.ndim != 2 or mask.shape != values.shape:
        raise ParameterError(
            f"a map of shape {values.shape} and a mask of shape {mask.shape}",
            where=f"image {index}",
            allowed="both (H, W)",
        )
    if values.dtype not in (np.float32, np.float64):
        if values.dtype.kind not in "fiub":
            raise ParameterError(f"a map of type {values.dtype}", where=f"image {index}", allowed="numbers")
        # Whichever of the two holds every value of the type.
        values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ParameterError(
            f"the anomaly map is {values[row, column]} at row {row}, column {column}",
            where=f"image {index}",
            allowed="finite values",
        )
    return values, mask if mask.dtype == np.bool_ else mask != 0


def _same_type(scores: np.ndarray, kind: np.dtype, index: int) -> np.ndarray:
    """Return scores in the type of the first defective ones; refuse those that it cannot hold."""
    if scores.dtype.itemsize > kind.itemsize:
        raise ParameterError(
            f"a map of {scores.dtype}, while earlier ones with defects are of {kind}",
            where=f"image {index}",
            allowed="maps of one type",
        )
    return scores.astype(kind, copy=False)


def _aupro_name(limit: float) -> str:
    return "pixel_aupro" if limit == 0.3 else f"pixel_aupro_{limit:g}"
