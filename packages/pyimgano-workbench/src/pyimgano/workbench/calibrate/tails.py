"""Peaks over threshold: the tail of the good scores as a generalised Pareto law, for small alpha from few images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyimgano.core.conformal import just_above, quantile_rank, sorted_scores
from pyimgano.core.errors import CalibrationError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ParetoTail"]

LEAST_EXCEEDANCES = 10
LOWEST_SHAPE = -0.5
"""Below it maximum likelihood is not regular, and below -1 unbounded (R. L. Smith, 1985)."""


class ParetoTail:
    """The (1 − alpha) quantile of a generalised Pareto law fitted to the largest held-out scores.

    The scores above a high one, u, follow a generalised Pareto law for nearly every law of the scores (Pickands;
    Balkema and de Haan). Of n images N lie above u; the threshold is the level that a share alpha of good images
    reaches, u + σ/ξ · ((n · alpha / N)^−ξ − 1). Where alpha is at least N / n there is nothing to extrapolate, and the
    threshold is the held-out quantile.

    The estimate is optimistic where it reaches far. Simulated with normal, exponential and t(4) scores and n = 100, the
    mean overkill was 1.1 · alpha at alpha = 5/n, 1.3 to 1.5 · alpha at 1/n, and 1.8 to 2 · alpha at 1/(2n).

    Parameters
    ----------
    tail : float
        Share of the held-out images that is called the tail.
    fit : {"pwm", "mle"}
        Probability-weighted moments (Hosking and Wallis; made feasible as Dupuis and Tsao do), which are the more
        reliable for fewer than some hundred exceedances and for ξ < 0.5; or maximum likelihood, with ξ ≥ -0.5.
    min_exceedances : int
        Fewer in the tail are refused; at least 10.
    extrapolation : float
        The threshold may be one that is reached once in this many times n good images, not more rarely; at least 1.

    References
    ----------
    J. Pickands, *Statistical inference using extreme order statistics*, 1975; A. A. Balkema, L. de Haan, *Residual
    life time at great age*, 1974; J. R. M. Hosking, J. R. Wallis, *Parameter and quantile estimation for the
    generalized Pareto distribution*, 1987; D. J. Dupuis, M. Tsao, *A hybrid estimator for generalized Pareto and
    extreme-value distributions*, 1998; S. Coles, *An Introduction to Statistical Modeling of Extreme Values*, 2001.
    """

    def __init__(
        self, *, tail: float = 0.2, fit: str = "pwm", min_exceedances: int = 20, extrapolation: float = 2.0
    ) -> None:
        require(0.0 < tail < 1.0, "tail", tail, "a share between 0 and 1")
        require(fit in ("pwm", "mle"), "fit", fit, "'pwm' or 'mle'")
        require(
            isinstance(min_exceedances, int) and min_exceedances >= LEAST_EXCEEDANCES,
            "min_exceedances",
            min_exceedances,
            f"a whole number ≥ {LEAST_EXCEEDANCES}",
        )
        require(math.isfinite(extrapolation) and extrapolation >= 1.0, "extrapolation", extrapolation, "a number ≥ 1")
        self.tail = tail
        self.fit = fit
        self.min_exceedances = min_exceedances
        self.extrapolation = extrapolation

    def images_needed(self, alpha: float) -> int:
        """Return how many it takes for enough exceedances, and to have ``alpha`` within reach."""
        enough = math.ceil(self.min_exceedances / self.tail - 1e-9)
        return max(enough, math.ceil(1.0 / (alpha * self.extrapolation) - 1e-9))

    def details(self, scores: np.ndarray, alpha: float) -> dict[str, Any]:
        """Return ``above`` (u), ``exceedances`` (N), ``shape`` (ξ) and ``scale`` (σ) of the tail.

        Raises
        ------
        CalibrationError
            When n is too small for the tail or for alpha, or ties leave too few exceedances.
        """
        values = sorted_scores(scores, alpha)
        n = int(values.size)
        if n < self.images_needed(alpha):
            raise CalibrationError(
                f"alpha = {alpha:g} needs at least {self.images_needed(alpha)} held-out images, there are {n}: "
                f"{self.min_exceedances} in a tail of {self.tail:g}, and 1/alpha at most {self.extrapolation:g} · n",
                hint="a tail is not known from less; hold out more images, or raise alpha",
            )
        u = float(values[n - 1 - math.floor(n * self.tail + 1e-9)])
        excess = values[values > u] - u
        if excess.size < self.min_exceedances:
            raise CalibrationError(
                f"only {excess.size} of n = {n} held-out scores lie in the tail above {u:.6g}: some are equal",
                allowed=f"at least {self.min_exceedances}",
                hint="use calibration.method=conformal or quantile, which take ties",
            )
        shape, scale = _weighted_moments(excess) if self.fit == "pwm" else _likelihood(excess)
        return {"above": u, "exceedances": int(excess.size), "shape": shape, "scale": scale}

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Return the level that a share ``alpha`` of good images reaches."""
        values = sorted_scores(scores, alpha)
        tail = self.details(values, alpha)
        ratio = tail["exceedances"] / (values.size * alpha)
        if ratio <= 1.0:
            return just_above(values, quantile_rank(values.size, alpha))
        shape, scale = tail["shape"], tail["scale"]
        grown = math.log(ratio) if abs(shape) < 1e-9 else math.expm1(shape * math.log(ratio)) / shape
        return float(tail["above"] + scale * grown)

    def guarantee(self, alpha: float, n: int) -> str:
        """Say that it is an estimate, and of what."""
        far = " (so far out, expect 1.3 to 2 times as many)" if alpha * n < 2.0 else ""
        return (
            f"None: that {alpha:g} of new good images are rejected is the estimate of a generalised Pareto tail fitted "
            f"to the largest of n = {n} held-out scores{far}."
        )


def _weighted_moments(excess: np.ndarray) -> tuple[float, float]:
    """Return (ξ, σ) of sorted exceedances by probability-weighted moments."""
    import numpy as np

    n = excess.size
    first = float(excess.mean())
    second = float(((1.0 - (np.arange(1, n + 1) - 0.35) / n) * excess).mean())
    shape = 2.0 - first / (first - 2.0 * second)
    scale = 2.0 * first * second / (first - 2.0 * second)
    largest = float(excess[-1])
    if 1.0 + shape * largest / scale <= 0.0:
        shape = -scale / largest  # the law must reach what was seen
    return shape, scale


def _likelihood(excess: np.ndarray) -> tuple[float, float]:
    """Return (ξ, σ) by maximum likelihood, profiled to the one parameter θ = ξ/σ (Grimshaw, 1993)."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    mean, largest = float(excess.mean()), float(excess.max())

    def law(step: float) -> tuple[float, float]:
        theta = math.expm1(step) / largest  # θ > -1 / largest, at every step
        if abs(theta) * largest < 1e-8:
            return 0.0, mean
        shape = float(np.log1p(theta * excess).mean())
        return shape, shape / theta

    def loss(step: float) -> float:
        shape, scale = law(step)
        return math.log(scale) + shape if shape >= LOWEST_SHAPE else math.inf

    # ξ grows with the step: the search begins where ξ reaches its lowest value.
    low, high = -30.0, 0.0  # at -30, θ is within 1e-13 of its limit
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if law(middle)[0] < LOWEST_SHAPE else (low, middle)
    steps = np.linspace(high, math.log1p(50.0 * largest / mean), 200)
    best = int(np.argmin([loss(step) for step in steps]))
    span = (float(steps[max(0, best - 1)]), float(steps[min(len(steps) - 1, best + 1)]))
    found = minimize_scalar(loss, bounds=span, method="bounded", options={"xatol": 1e-10})
    step = float(found.x) if found.fun <= loss(float(steps[best])) else float(steps[best])
    return law(step)
