"""Cross-conformal calibration: every good image is fitted on, and still scored by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, TypeVar, Union

from pyimgano.core.conformal import conformal_rank, images_needed, split_conformal
from pyimgano.core.parameters import require
from pyimgano.workbench.calibrate.interval import OverkillInterval

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CrossConformal", "out_of_fold"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class CrossConformal:
    """Conformal calibration on out-of-fold scores: for few images, of which none has to be held out.

    The images are cut into folds. Those of each fold are scored by a model that was fitted on the other folds; these
    models are then thrown away, and the one that is kept was fitted on all. The threshold has the rank of split
    conformal calibration among the pooled scores.

    Since the kept model is none of those that gave the scores, no bound for finite n is known. What is proven is close
    to it: cross-conformal p-values (Vovk) and the CV+ and jackknife+ of Barber et al., which judge a new image by the
    folds' models, reject at most about 2 · alpha, and nearly alpha where the algorithm is stable. Simulated with
    nearest neighbours in 2 to 20 dimensions, n = 20 to 100 and alpha = 0.1, the mean overkill was 0.07 to 0.085 with 5
    folds, whose models have seen fewer images than the kept one, and 0.09 to 0.1 with the jackknife.

    Parameters
    ----------
    folds : int or "jackknife"
        Number of models to fit beside the kept one, at least 2; ``"jackknife"`` leaves out one image (or group, or set
        of copies) at a time. More folds come closer to the kept model and take longer.

    References
    ----------
    V. Vovk, *Cross-conformal predictors*, 2015; R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani, *Predictive
    inference with the jackknife+*, 2021.
    """

    def __init__(self, *, folds: Union[int, str] = 5) -> None:
        whole = isinstance(folds, int) and not isinstance(folds, bool) and folds >= 2
        require(whole or folds == "jackknife", "folds", folds, "a whole number ≥ 2, or 'jackknife'")
        self.folds = folds

    def images_needed(self, alpha: float) -> int:
        """Return the larger of ⌈1/alpha⌉ − 1 and the number of folds."""
        return max(images_needed(alpha), 2 if isinstance(self.folds, str) else self.folds)

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """See :func:`pyimgano.core.conformal.split_conformal`, here of out-of-fold scores."""
        return split_conformal(scores, alpha)

    def overkill_interval(self, scores: np.ndarray, alpha: float, threshold: float) -> OverkillInterval:
        """Return none: the scores are dependent, and not the kept model's."""
        return OverkillInterval.unknown(
            "the out-of-fold scores depend on each other, and are those of other models than the kept one"
        )

    def guarantee(self, alpha: float, n: int) -> str:
        """Say what is expected, and what is not proven."""
        rejected = n - conformal_rank(n, alpha)
        return (
            f"Of the n = {n} good images, each scored by a model that has not seen it, {rejected} are rejected; a new "
            f"one should be with probability about {alpha:g}. No finite-sample bound is known for it, since the kept "
            "model was fitted again, on all of them (CV+ and jackknife+, which are close, are bounded by 2 · alpha)."
        )


def out_of_fold(
    folds: Sequence[Sequence[Item]], score: Callable[[int, list[Item], Sequence[Item]], Sequence[Outcome]]
) -> list[Outcome]:
    """Score each fold by a model of the others.

    Parameters
    ----------
    folds : sequence of sequence
        The items, each in one fold.
    score : callable
        ``score(number, others, fold)`` fits on ``others`` and returns an outcome for each item of ``fold``.

    Returns
    -------
    list
        All outcomes, fold after fold.
    """
    outcomes: list[Outcome] = []
    for number, fold in enumerate(folds):
        others = [item for other, items in enumerate(folds) if other != number for item in items]
        found = score(number, others, fold)
        if len(found) != len(fold):
            raise ValueError(f"{len(found)} outcomes for {len(fold)} items")
        outcomes.extend(found)
    return outcomes
