"""Good images ranked by how unlike the others they look to a model that has not seen them."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import DatasetError
from pyimgano.workbench.calibrate.cross import out_of_fold
from pyimgano.workbench.progress import Progress, Silent
from pyimgano.workbench.scoring import ScoredImage, score_stream
from pyimgano.workbench.stages.fitting import fit_detector

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.datasets import ContentHashes
    from pyimgano.workbench.config import RunConfig

__all__ = ["Outlier", "OutlierRanking", "rank_outliers", "robust_z"]


@dataclass(frozen=True)
class Outlier:
    """One good image.

    Attributes
    ----------
    sample : Sample
    rank : int
        1 is the most unlike.
    score : float
        Of the model that was fitted without it.
    z : float
        How many robust standard deviations the score is above the median of its category.
    map : ndarray, (h, w) float32, or None
        Its anomaly map; kept of the first ranks only.
    """

    sample: Sample
    rank: int
    score: float
    z: float
    map: Optional[np.ndarray] = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping, without the map."""
        return {
            "image": self.sample.id,
            "split": self.sample.split,
            "rank": self.rank,
            "score": self.score,
            "z": round(self.z, 4),
        }


@dataclass(frozen=True)
class OutlierRanking:
    """The good images of one category, the most unlike first.

    Attributes
    ----------
    category : str or None
    ranked : tuple of Outlier
        All that were scored.
    folds, fitted_on : int
        How many models were fitted, and on how many images at most.
    map_scale : (float, float) or None
        What the maps usually show (median of their medians), and what nine of ten stay below (of their maxima).
    """

    category: Optional[str]
    ranked: tuple[Outlier, ...]
    folds: int
    fitted_on: int
    map_scale: Optional[tuple[float, float]] = None

    def to_json(self, top: int) -> dict[str, Any]:
        """Return its first ``top`` images as a JSON-friendly mapping."""
        return {
            "category": self.category,
            "images": len(self.ranked),
            "folds": self.folds,
            "fitted_on": self.fitted_on,
            "ranked": [outlier.to_json() for outlier in self.ranked[:top]],
        }


def robust_z(scores: np.ndarray) -> np.ndarray:
    """Return (score − median) / (1.4826 · median absolute deviation) of (N,) scores.

    Where more than half of the scores are equal, the standard deviation takes the place of the median absolute
    deviation; all are 0 where that is 0, too.
    """
    import numpy as np

    centred = np.asarray(scores, dtype=np.float64) - np.median(scores)
    scale = 1.4826 * float(np.median(np.abs(centred))) or float(centred.std())
    return centred / scale if scale > 0.0 else np.zeros_like(centred)


@dataclass(frozen=True)
class _Seen:
    sample: Sample
    score: float
    median: Optional[float]
    maximum: Optional[float]


def _seen(scored: ScoredImage) -> _Seen:
    import numpy as np

    assert scored.score is not None
    if scored.map is None:
        return _Seen(scored.source, scored.score, None, None)
    return _Seen(scored.source, scored.score, float(np.median(scored.map)), float(scored.map.max()))


def rank_outliers(
    config: RunConfig,
    samples: Sequence[Sample],
    linked: Sequence[str],
    progress: Progress,
    *,
    category: Optional[str],
    folds: int,
    most: int,
    top: int,
    hashes: ContentHashes,
) -> OutlierRanking:
    """Score each image by a model that was fitted on other ones, and rank them.

    Parameters
    ----------
    config : RunConfig
        Names the model, its parameters and the seed.
    samples : sequence of Sample
        Good images of one category.
    linked : sequence of str
        Of each image the name of the set that it stays together with: a copy among those that a model is fitted on
        would hide what it should find.
    folds, most : int
        How many models, and on how many images each is fitted at most (drawn by the seed).
    top : int
        Of how many images the map is kept.

    Raises
    ------
    DatasetError
        When there are fewer images (or sets of copies) than folds.
    """
    import numpy as np

    from pyimgano.datasets import limit_samples, split_folds

    name = f"{category}: " if category else ""
    grouped = [dataclasses.replace(sample, group=link) for sample, link in zip(samples, linked)]
    parts = split_folds(grouped, folds, seed=config.seed, hashes=hashes)
    kept: list[tuple[float, int, np.ndarray]] = []  # a heap of the highest scores with their maps
    counter = iter(range(len(samples)))
    fitted_on = 0

    def score(number: int, others: list[Sample], fold: Sequence[Sample]) -> list[_Seen]:
        nonlocal fitted_on
        images = sorted(others, key=lambda sample: sample.id)
        if len(images) > most:
            images = list(limit_samples(images, most, seed=config.seed))
        fitted_on = max(fitted_on, len(images))
        detector = fit_detector(config, images, Silent(), f"fold {number + 1}")
        found = []
        for scored in score_stream(
            detector, fold, batch_size=config.batch_size, value_range=config.dataset.value_range, on_error="raise"
        ):
            found.append(_seen(scored))
            position = next(counter)
            if scored.map is not None:
                entry = (found[-1].score, -position, scored.map)
                heapq.heappush(kept, entry) if len(kept) < top else heapq.heappushpop(kept, entry)
            advance(1)
        return found

    with progress.stage(f"{name}rank the good images in {len(parts)} folds", len(samples)) as advance:
        seen = out_of_fold(parts, score)
    z = robust_z(np.array([one.score for one in seen]))
    order = sorted(range(len(seen)), key=lambda i: (-seen[i].score, seen[i].sample.id))
    maps = {-number: found for _, number, found in kept}
    original = {sample.id: sample for sample in samples}
    ranked = tuple(
        Outlier(original[seen[i].sample.id], rank, seen[i].score, float(z[i]), maps.get(i))
        for rank, i in enumerate(order, start=1)
    )
    scale = None
    if all(one.maximum is not None for one in seen):
        usual = float(np.median([one.median for one in seen if one.median is not None]))
        scale = (usual, float(np.quantile([one.maximum for one in seen if one.maximum is not None], 0.9)))
    return OutlierRanking(category, ranked, len(parts), fitted_on, scale)


def folds_for(samples: Sequence[Sample], linked: Sequence[str], wanted: int) -> int:
    """Return how many folds a category's good images can be cut into, at most ``wanted``.

    Raises
    ------
    DatasetError
        When there are fewer than four images that differ: nothing could be said of them.
    """
    units = len(set(linked))
    if units < 4:
        raise DatasetError(
            f"{len(samples)} good images ({units} different ones) are too few to rank", allowed="at least 4"
        )
    return min(wanted, units)
