"""Bootstrap resamples of images, and the metrics of many resamples at once.

A resample is a row of weights: how often each image was drawn. Scores are sorted once; every metric of a resample is a
sum of weights in that order, so that thousands of resamples are a few operations on matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ImageSet", "draw_weights", "fixed_rate", "ranked_names", "weight_chunks", "weighted_metrics"]

_CHUNK = 2_000_000
"""Weights that are held at a time."""

_RANKED = ("image_auroc", "image_ap", "image_f1max")
_RECALL_AT, _FPR_AT = "image_recall_at_fpr_", "image_fpr_at_recall_"
_AT_THRESHOLD = ("precision", "f1")


def ranked_names(names: Sequence[str]) -> list[str]:
    """Return those of ``names`` that :func:`weighted_metrics` measures."""
    return [name for name in names if name in _RANKED or name in _AT_THRESHOLD or fixed_rate(name)]


def fixed_rate(name: str) -> Optional[tuple[str, float]]:
    """Return the kind of image whose rate a metric fixes, and the rate: recall at FPR 0.01 lets 0.01 of the good by."""
    rate = _parameter(name, _RECALL_AT)
    if rate is not None:
        return "good", rate
    recall = _parameter(name, _FPR_AT)
    return None if recall is None else ("defective", 1.0 - recall)


def _parameter(name: str, prefix: str) -> Optional[float]:
    if not name.startswith(prefix):
        return None
    try:
        return float(name[len(prefix) :])
    except ValueError:
        return None


@dataclass(frozen=True)
class ImageSet:
    """One run's scores of labelled images, the good ones and the defective ones in an order that both runs share.

    Attributes
    ----------
    good, defective : ndarray, (n,) and (m,) float64
        Raw image scores.
    rejected_good, rejected_defective : ndarray of bool
        What the calibrated threshold rejects.
    """

    good: np.ndarray
    defective: np.ndarray
    rejected_good: np.ndarray
    rejected_defective: np.ndarray


def draw_weights(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """Return ``size`` resamples of ``n`` images with replacement, (size, n) int64: how often each image was drawn."""
    import numpy as np

    index = rng.integers(n, size=(size, n))
    index += np.arange(size)[:, None] * n
    return np.bincount(index.ravel(), minlength=size * n).reshape(size, n)


def weight_chunks(
    rng: np.random.Generator, n_good: int, n_defective: int, resamples: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the weights of ``resamples`` resamples in chunks: good and defective images are drawn apart.

    The chunks' size depends on the numbers of images only, so the same seed gives the same resamples everywhere.
    """
    step = max(1, min(resamples, _CHUNK // (n_good + n_defective)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        yield draw_weights(rng, n_good, size), draw_weights(rng, n_defective, size)


class WeightedRanking:
    """The scores of one run in order, ready for any weights."""

    def __init__(self, images: ImageSet) -> None:
        import numpy as np

        self._images = images
        self._good_order = np.argsort(-images.good, kind="stable")
        self._defective_order = np.argsort(-images.defective, kind="stable")
        good, defective = -images.good[self._good_order], -images.defective[self._defective_order]
        self._first = np.flatnonzero(np.concatenate(([True], defective[1:] != defective[:-1])))
        levels = defective[self._first]
        self._above = np.searchsorted(good, levels, side="left")
        self._at_least = np.searchsorted(good, levels, side="right")

    def measure(self, names: Sequence[str], good: np.ndarray, defective: np.ndarray) -> dict[str, np.ndarray]:
        """Return each metric of each resample, (size,) float64; NaN where a resample leaves it undefined."""
        import numpy as np

        total_good, total_defective = good.sum(axis=1), defective.sum(axis=1)
        found: dict[str, np.ndarray] = {}
        if any(name not in _AT_THRESHOLD for name in names):
            drawn = np.add.reduceat(defective[:, self._defective_order], self._first, axis=1)
            true = np.cumsum(drawn, axis=1)
            passed = np.zeros((len(good), good.shape[1] + 1), dtype=np.int64)
            np.cumsum(good[:, self._good_order], axis=1, out=passed[:, 1:])
            false = passed[:, self._at_least]
        with np.errstate(invalid="ignore", divide="ignore"):
            for name in names:
                if name == "image_auroc":
                    wins = total_good[:, None] - 0.5 * (false + passed[:, self._above])
                    found[name] = (drawn * wins).sum(axis=1) / (total_good * total_defective)
                elif name == "image_ap":
                    precision = np.where(drawn > 0, true / (true + false), 0.0)
                    found[name] = (drawn * precision).sum(axis=1) / total_defective
                elif name == "image_f1max":
                    found[name] = (2.0 * true / (true + false + total_defective[:, None])).max(axis=1)
                elif name.startswith(_RECALL_AT):
                    allowed = false / total_good[:, None] <= float(name[len(_RECALL_AT) :])
                    found[name] = np.where(allowed, true, 0).max(axis=1) / total_defective
                elif name.startswith(_FPR_AT):
                    reached = true / total_defective[:, None] >= float(name[len(_FPR_AT) :])
                    found[name] = np.where(reached, false, total_good[:, None]).min(axis=1) / total_good
                else:
                    hits = defective[:, self._images.rejected_defective].sum(axis=1)
                    alarms = good[:, self._images.rejected_good].sum(axis=1)
                    denominator = hits + alarms if name == "precision" else hits + alarms + total_defective
                    found[name] = (hits if name == "precision" else 2.0 * hits) / denominator
        return found


def weighted_metrics(
    images: ImageSet, names: Sequence[str], good: Optional[np.ndarray] = None, defective: Optional[np.ndarray] = None
) -> dict[str, np.ndarray]:
    """Return the metrics of weighted images.

    Parameters
    ----------
    images : ImageSet
        At least one good and one defective image.
    names : sequence of str
        See :func:`ranked_names`.
    good, defective : ndarray, (size, n) and (size, m), optional
        Weights; by default one row in which every image counts once.

    Returns
    -------
    dict of str to ndarray, (size,)
        NaN where the weights leave a metric undefined.
    """
    import numpy as np

    if good is None or defective is None:
        good = np.ones((1, len(images.good)), dtype=np.int64)
        defective = np.ones((1, len(images.defective)), dtype=np.int64)
    return WeightedRanking(images).measure(names, good, defective)
