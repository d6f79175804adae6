"""Saturated per-region overlap: how well defects are found of which finding a part is enough (MVTec LOCO AD, AutoVI).

The overlap with a region is min(found pixels / its saturation, 1), so that only its highest scores matter, as many as
its saturation. Kept with the weight 1 / saturation they are the scores of a region like any other, and the area under
the curve is that of AUPRO: exact, with a few scores per region in memory, and the good pixels only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Optional

from pyimgano.core.batching import read_ahead
from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.ranking import Ranking

if TYPE_CHECKING:
    import numpy as np

    Load = Callable[[int], tuple[np.ndarray, Sequence[tuple[np.ndarray, int]]]]

__all__ = ["SproResults", "spro_metrics"]

CHUNK = 4_000_000
"""Good pixels that are counted at a time: 16 MB of scores."""


@dataclass(frozen=True)
class SproResults:
    """What the maps are worth where overlaps saturate.

    Attributes
    ----------
    metrics : dict of str to Metric
        ``pixel_au_spro_<limit>``: the mean over the kinds of defect.
    by_defect : dict of str to dict of str to Metric
        Kind of defect → ``au_spro_<limit>``, on its images and all good ones.
    """

    metrics: dict[str, Metric]
    by_defect: dict[str, dict[str, Metric]] = field(default_factory=dict)


def spro_metrics(
    load: Load, kinds: Sequence[Optional[str]], *, limits: Sequence[float] = (0.3, 0.05), left_out: int = 0
) -> SproResults:
    """Return the area under the curve of saturated per-region overlap, up to false-positive rates.

    Parameters
    ----------
    load : callable
        ``load(i)`` returns image i's raw map (H, W) and its defects, each as its mask (H, W) bool and its saturation,
        the number of its pixels that must be found; no defects for a good image. Called by several threads, twice for
        defective images.
    kinds : sequence of str or None
        For each image the kind of defect that it shows, None for a good one. MVTec LOCO AD has two kinds,
        ``logical_anomalies`` and ``structural_anomalies``.
    limits : sequence of float
        False-positive rates up to which to integrate, in (0, 1]; the area is divided by the rate.
    left_out : int
        Images whose defects are not known, for the report.

    Raises
    ------
    ParameterError
        When a map's value is not finite, a mask has another shape than its map, or a saturation is impossible.

    Notes
    -----
    As in MVTec's evaluation code, each kind is measured on its images and all good ones: the curve is the mean over its
    defects, against the share of pixels outside of *every* defect that are predicted in those images. The result is the
    mean over the kinds. Regions are what the masks say, connected or not. The curve's corners are exact; that code
    finds them by refining thresholds, and differs by what is left between two of these.

    References
    ----------
    P. Bergmann, K. Batzner, M. Fauser, D. Sattlegger, C. Steger, *Beyond Dents and Scratches: Logical Constraints in
    Unsupervised Anomaly Detection and Localization*, IJCV 130, 2022.
    """
    wrong = [limit for limit in limits if not 0.0 < limit <= 1.0]
    if wrong:
        raise ParameterError(f"{wrong[0]!r}", where="limits", allowed="rates in (0, 1]")
    names = sorted({kind for kind in kinds if kind is not None})
    n_regions, rankings = _rank_regions(load, kinds, names)
    n = {"images": len(kinds), "regions": sum(n_regions.values()), "kinds": len(names)}
    if left_out:
        n["images_without_ground_truth"] = left_out
    if not names:
        return SproResults({_name(limit): Metric.undefined("no image shows a defect", **n) for limit in limits})
    _count_good(load, kinds, rankings)
    by_defect = {
        name: {
            f"au_spro_{limit:g}": _area(
                rankings[name], n_regions[name], limit, images=sum(kind in (None, name) for kind in kinds)
            )
            for limit in limits
        }
        for name in names
    }
    metrics = {}
    for limit in limits:
        areas = [by_defect[name][f"au_spro_{limit:g}"] for name in names]
        values = [area.value for area in areas if area.value is not None]
        if len(values) < len(areas):
            reason = next(area.reason for area in areas if area.value is None)
            metrics[_name(limit)] = Metric.undefined(str(reason), **n)
        else:
            metrics[_name(limit)] = Metric(sum(values) / len(values), n, facts={"limit": limit})
    return SproResults(metrics, by_defect)


def _name(limit: float) -> str:
    return f"pixel_au_spro_{limit:g}"


def _area(ranking: Ranking, n_regions: int, limit: float, *, images: int) -> Metric:
    n = {"images": images, "regions": n_regions, "good_pixels": ranking.n_good}
    if ranking.n_good == 0:
        return Metric.undefined("no good pixels in the ground truth", **n)
    return Metric(ranking.aupro(limit, n_regions), n, facts={"limit": limit})


def _rank_regions(
    load: Load, kinds: Sequence[Optional[str]], names: Sequence[str]
) -> tuple[dict[str, int], dict[str, Ranking]]:
    """Return, per kind, the number of defects, and the ranking of the scores that decide about their overlap."""
    import numpy as np

    marked = [index for index, kind in enumerate(kinds) if kind is not None]
    scores: dict[str, list[np.ndarray]] = {name: [] for name in names}
    weights: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for index, (anomaly_map, regions) in zip(
        marked, read_ahead(lambda position: load(marked[position]), len(marked), ahead=4)
    ):
        values = _checked(anomaly_map, regions, index)
        kind = str(kinds[index])
        for mask, saturation in regions:
            inside = values[mask]
            if not 1 <= saturation <= inside.size:
                raise ParameterError(
                    f"a saturation of {saturation} pixels", where=f"image {index}", allowed=f"1 to {inside.size}"
                )
            if saturation < inside.size:
                inside = np.partition(inside, inside.size - saturation)[inside.size - saturation :]
            scores[kind].append(inside)
            weights[kind].append(np.full(saturation, 1.0 / saturation))
    empty = [name for name in names if not scores[name]]
    if empty:
        raise ParameterError(f"no image of {empty[0]!r} has a defect", where="kinds", allowed="None for good images")
    rankings = {name: Ranking(np.concatenate(scores[name]), np.concatenate(weights[name])) for name in names}
    return {name: len(scores[name]) for name in names}, rankings


def _count_good(load: Load, kinds: Sequence[Optional[str]], rankings: dict[str, Ranking]) -> None:
    """Count the pixels outside of defects: those of good images for every kind, the others for their own."""
    import numpy as np

    pending: dict[Optional[str], list[np.ndarray]] = {}
    sizes: dict[Optional[str], int] = {}

    def flush(kind: Optional[str]) -> None:
        chunk = np.concatenate(pending.pop(kind))
        sizes[kind] = 0
        for ranking in rankings.values() if kind is None else (rankings[kind],):
            ranking.add_good(chunk)

    for index, (anomaly_map, regions) in enumerate(read_ahead(load, len(kinds), ahead=4)):
        kind = kinds[index]
        values = _checked(anomaly_map, regions, index)
        outside = np.ones(values.shape, dtype=np.bool_)
        for mask, _ in regions:
            outside &= ~mask
        good = values[outside]
        if kind is None and regions:
            raise ParameterError("a good image with defects", where=f"image {index}", allowed="a kind of defect")
        pending.setdefault(kind, []).append(good)
        sizes[kind] = sizes.get(kind, 0) + good.size
        if sizes[kind] >= CHUNK:
            flush(kind)
    for kind in list(pending):
        flush(kind)


def _checked(anomaly_map: np.ndarray, regions: Sequence[tuple[np.ndarray, int]], index: int) -> np.ndarray:
    import numpy as np

    values = np.asarray(anomaly_map)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    if not np.isfinite(values).all():
        raise ParameterError("the anomaly map has values that are not finite", where=f"image {index}")
    for mask, _ in regions:
        if mask.shape != values.shape:
            raise ParameterError(
                f"a mask of shape {mask.shape}", where=f"image {index}", allowed=f"the map's own, {values.shape}"
            )
    return values
