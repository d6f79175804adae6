"""Bootstrap resamples of images that all conditions share, and rates at a threshold in each of them.

One image under ninety conditions is one draw, not ninety: what an average over conditions is worth is decided by the
number of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from pyimgano.core.seeding import generator
from pyimgano.workbench.compare.resampling import draw_weights
from pyimgano.workbench.robust.conditions import Condition
from pyimgano.workbench.robust.scores import CategoryScores

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RESAMPLES", "drawn_rates", "drawn_weights", "mean_over", "rates", "rates_above"]

RESAMPLES = 1000


def drawn_weights(category: str, seed: int, n_good: int, n_defective: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each good and each defective image was drawn, (1 + R, n) and (1 + R, m) float64.

    Row 0 is the images themselves, each once. Good and defective images are drawn apart.
    """
    import numpy as np

    rng = generator(seed, "robust", "resamples", category)
    parts = []
    for n in (n_good, n_defective):
        drawn = draw_weights(rng, n, RESAMPLES) if n else np.zeros((RESAMPLES, 0))
        parts.append(np.vstack([np.ones((1, n)), drawn]).astype(np.float64))
    return parts[0], parts[1]


def rates(weights: np.ndarray, counted: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Return the weighted share of images that count, (draws, conditions); NaN where no image is drawn.

    Parameters
    ----------
    weights : ndarray, (draws, n)
    counted, scored : ndarray, (conditions, n) bool
        Which images count, of those that are scored.
    """
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (weights @ (counted & scored).T.astype(np.float64)) / (
            weights @ scored.T.astype(np.float64)
        )
    return found


def rates_above(weights: np.ndarray, scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the weighted share of images that score at least each draw's own threshold, (draws, conditions).

    Parameters
    ----------
    weights : ndarray, (draws, n)
    scores : ndarray, (conditions, n)
        NaN where an image has no score.
    thresholds : ndarray, (draws,)
        NaN gives NaN.
    """
    import numpy as np

    columns = []
    for row in scores:
        known = np.isfinite(row)
        counted = row[None, known] >= thresholds[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            columns.append((weights[:, known] * counted).sum(axis=1) / weights[:, known].sum(axis=1))
    found = np.stack(columns, axis=1)
    found[~np.isfinite(thresholds)] = np.nan
    return found


def drawn_rates(
    part: CategoryScores, conditions: Sequence[Condition], seed: int
) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """Return overkill and recall at the frozen threshold, (1 + R, conditions) each; None without such images."""
    weights = drawn_weights(part.name, seed, int((part.labels == 0).sum()), int((part.labels == 1).sum()))
    found: list[Optional[np.ndarray]] = []
    for label in (0, 1):
        if not weights[label].shape[1]:
            found.append(None)
            continue
        found.append(rates(weights[label], *part.rejected(conditions, label)))
    return found[0], found[1]


def mean_over(parts: Sequence[Optional[np.ndarray]]) -> Optional[np.ndarray]:
    """Return the mean of the arrays that are there; None where there is none."""
    import numpy as np

    known = [part for part in parts if part is not None]
    return None if not known else np.mean(np.stack(known), axis=0)
