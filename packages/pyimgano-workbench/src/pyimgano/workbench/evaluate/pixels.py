"""Metrics of pixels at ground-truth resolution, on raw maps, in two passes and constant memory.

Each map is brought to its mask's size (bilinearly) when it is needed and dropped again. Only the scores of defective
pixels are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from pyimgano.core.batching import read_ahead
from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.ranking import Ranking

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PIXEL_METRICS", "pixel_metrics", "undefined_pixel_metrics"]

PIXEL_METRICS = ("pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro")
CHUNK = 4_000_000
"""Good pixels that are sorted at a time: 16 MB of scores."""


def undefined_pixel_metrics(reason: str, **n: int) -> dict[str, Metric]:
    """Return the pixel metrics without values."""
    return {name: Metric.undefined(reason, **n) for name in PIXEL_METRICS}


def pixel_metrics(
    load: Callable[[int], tuple[np.ndarray, np.ndarray]],
    defective: Sequence[bool],
    *,
    limit: float = 0.3,
    left_out: int = 0,
) -> dict[str, Metric]:
    """Return pixel AUROC, AP, F1max (with its threshold) and AUPRO.

    Parameters
    ----------
    load : callable
        ``load(i)`` returns image i's raw map and ground truth, both (H, W); called by several threads, twice for
        defective images.
    defective : sequence of bool
        For each image whether its ground truth may hold defective pixels.
    limit : float
        False-positive rate up to which AUPRO integrates.
    left_out : int
        Images whose defective pixels are not known, for the report.

    Notes
    -----
    Regions are connected components with 8 neighbours. A region's pixels weigh 1 / its size, so that a small one counts
    as much as a large one.
    """
    import numpy as np

    marked = [index for index, flag in enumerate(defective) if flag]
    scores, weights, n_regions = _defective_pixels(load, marked)
    n = {"images": len(defective), "regions": n_regions, "defective_pixels": int(scores.size)}
    if left_out:
        n["images_without_ground_truth"] = left_out
    if scores.size == 0:
        return undefined_pixel_metrics("no defective pixels in the ground truth", **n)
    ranking = Ranking(scores, weights)
    del scores, weights
    pending: list[np.ndarray] = []
    count = 0
    for anomaly_map, mask in read_ahead(load, len(defective), ahead=4):
        good = anomaly_map[~mask]
        pending.append(good)
        count += good.size
        if count >= CHUNK:
            ranking.add_good(np.concatenate(pending))
            pending, count = [], 0
    if count:
        ranking.add_good(np.concatenate(pending))
    n["good_pixels"] = ranking.n_good
    if ranking.n_good == 0:
        return undefined_pixel_metrics("no good pixels in the ground truth", **n)
    f1, threshold = ranking.f1_max()
    return {
        "pixel_auroc": Metric(ranking.auroc(), n),
        "pixel_ap": Metric(ranking.average_precision(), n),
        "pixel_f1max": Metric(f1, n, facts={"threshold": threshold}),
        "pixel_aupro": Metric(ranking.aupro(limit, n_regions), n, facts={"limit": limit}),
    }


def _defective_pixels(
    load: Callable[[int], tuple[np.ndarray, np.ndarray]], marked: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the scores of all defective pixels, their weights, and the number of regions."""
    import cv2
    import numpy as np

    scores, weights, n_regions = [np.empty(0, np.float32)], [np.empty(0)], 0
    for anomaly_map, mask in read_ahead(lambda position: load(marked[position]), len(marked), ahead=4):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        n_regions += count - 1  # label 0 is what is outside
        scores.append(np.asarray(anomaly_map[mask], dtype=np.float32))
        weights.append(1.0 / stats[labels[mask], cv2.CC_STAT_AREA])
    return np.concatenate(scores), np.concatenate(weights), n_regions
