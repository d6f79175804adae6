"""Metrics of whole images, on raw scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyimgano.workbench.evaluate.metric import Metric
from pyimgano.workbench.evaluate.ranking import Ranking

if TYPE_CHECKING:
    import numpy as np

__all__ = ["image_metrics"]


def image_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, Metric]:
    """Return ``image_auroc``, ``image_ap`` and ``image_f1max`` (with its threshold).

    Parameters
    ----------
    scores : ndarray, (N,) float
        Raw image scores.
    labels : ndarray, (N,) {0, 1}
        1 is defective.
    """
    import numpy as np

    values, flags = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    n = {"good": int((flags == 0).sum()), "defective": int((flags == 1).sum())}
    missing = [kind for kind, count in n.items() if count == 0]
    if missing:
        reason = f"no {' and no '.join(missing)} test images"
        return {name: Metric.undefined(reason, **n) for name in ("image_auroc", "image_ap", "image_f1max")}
    ranking = Ranking(values[flags == 1])
    ranking.add_good(values[flags == 0])
    f1, threshold = ranking.f1_max()
    return {
        "image_auroc": Metric(ranking.auroc(), n),
        "image_ap": Metric(ranking.average_precision(), n),
        "image_f1max": Metric(f1, n, facts={"threshold": threshold}),
    }
