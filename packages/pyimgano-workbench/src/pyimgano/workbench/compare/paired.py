"""Paired comparison of two runs on the same images of one category, and of the mean over several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional

from pyimgano.workbench.compare.difference import Difference, judged
from pyimgano.workbench.compare.resampling import (
    ImageSet,
    WeightedRanking,
    fixed_rate,
    weight_chunks,
    weighted_metrics,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PairedCategory", "bootstrap_interval", "compare_proportions", "mcnemar", "mean_of", "paired_metrics"]

RATES = ("overkill", "escape", "recall", "review_good", "review_defective")
"""Shares of images with a verdict: compared image by image, without resampling."""


@dataclass
class PairedCategory:
    """The differences of one category, and what their mean over categories needs.

    Attributes
    ----------
    differences : dict of str to Difference
        In the order asked for.
    draws : dict of str to ndarray, (resamples,)
        Differences of the resamples.
    flips : dict of str to (int, int, int)
        Per rate: images counted in B and not in A, in A and not in B, and all.
    """

    differences: dict[str, Difference] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    flips: dict[str, tuple[int, int, int]] = field(default_factory=dict)


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Parameters
    ----------
    gained, lost : int
        Images that changed one way, and the other.

    References
    ----------
    Q. McNemar, *Note on the sampling error of the difference between correlated proportions or percentages*,
    Psychometrika 12, 1947.
    """
    from scipy.stats import binomtest

    return float(binomtest(min(gained, lost), gained + lost, 0.5).pvalue) if gained + lost else 1.0


def compare_proportions(gained: int, lost: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Return the interval of a difference of two shares of the same ``n`` images.

    It keeps a width where no image changed: that none of 20 did does not say that none ever will.

    References
    ----------
    D. G. Bonett, R. M. Price, *Adjusted Wald confidence interval for a difference of binomial proportions based on
    paired data*, Journal of Educational and Behavioral Statistics 37, 2012.
    """
    from scipy.special import ndtri

    centre, variance = _adjusted(gained, lost, n)
    reach = float(ndtri(0.5 + confidence / 2.0)) * math.sqrt(variance)
    return max(-1.0, centre - reach), min(1.0, centre + reach)


def _adjusted(gained: int, lost: int, n: int) -> tuple[float, float]:
    up, down = (gained + 1.0) / (n + 2.0), (lost + 1.0) / (n + 2.0)
    return up - down, (up + down - (up - down) ** 2) / (n + 2.0)


def bootstrap_interval(
    draws: np.ndarray, *, confidence: float
) -> tuple[Optional[tuple[float, float]], Optional[float]]:
    """Return the percentile interval of resampled differences and the two-sided p-value of no difference.

    None, None where all resamples agree: then the images say nothing of what other images would. Resamples in which
    the metric is not defined are left out.

    References
    ----------
    B. Efron, R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993.
    """
    import numpy as np

    known = draws[np.isfinite(draws)]
    if known.size < 2 or float(known.max()) - float(known.min()) < 1e-12:
        return None, None
    low, high = np.quantile(known, [0.5 - confidence / 2.0, 0.5 + confidence / 2.0])
    # Sums of weights in another order differ in their last bits.
    below, above = int((known <= 1e-12).sum()), int((known >= -1e-12).sum())
    return (float(low), float(high)), min(1.0, 2.0 * (min(below, above) + 1) / (known.size + 1))


def images_needed(name: str, n: Mapping[str, int]) -> Optional[str]:
    """Return what a metric at a fixed rate lacks, e.g. ``"100 good images"`` at a rate of 0.01; None where enough.

    With fewer, the rate falls beyond the most extreme image, and resampling cannot tell what lies there.
    """
    fixed = fixed_rate(name)
    if fixed is None:
        return None
    kind, rate = fixed
    needed = math.ceil(1.0 / rate - 1e-9) if rate > 0.0 else 1
    return f"{needed} {kind} images" if n[kind] < needed else None


def paired_metrics(
    a: ImageSet,
    b: ImageSet,
    names: Sequence[str],
    rng: np.random.Generator,
    *,
    resamples: int,
    confidence: float = 0.95,
) -> PairedCategory:
    """Compare ranked metrics (see :func:`~pyimgano.workbench.compare.resampling.ranked_names`).

    Good and defective images are resampled apart, the same ones for both runs.

    Parameters
    ----------
    a, b : ImageSet
        The same images in the same order; at least one good and one defective one.
    names : sequence of str
        Metrics.
    rng : Generator
        Draws the resamples.
    resamples : int
        How many.
    """
    import numpy as np

    n = {"good": len(a.good), "defective": len(a.defective)}
    points = [{name: float(value[0]) for name, value in weighted_metrics(part, names).items()} for part in (a, b)]
    rankings = [WeightedRanking(part) for part in (a, b)]
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for good, defective in weight_chunks(rng, n["good"], n["defective"], resamples):
        values = [ranking.measure(names, good, defective) for ranking in rankings]
        for name in names:
            pieces[name].append(values[1][name] - values[0][name])
    found = PairedCategory()
    for name in names:
        draws = np.concatenate(pieces[name])
        interval, p = bootstrap_interval(draws, confidence=confidence)
        value_a, value_b = (None if math.isnan(point[name]) else point[name] for point in points)
        reason, needed = None, images_needed(name, n)
        if value_a is None or value_b is None:
            which = "either run" if value_a is None and value_b is None else "A" if value_a is None else "B"
            reason = f"not defined in {which}: no image was rejected"
        elif needed is not None:
            interval, p, reason = None, None, f"no interval: that takes at least {needed}"
        elif interval is None:
            reason = "no interval: every resample of the images gives the same difference"
        if needed is None:
            found.draws[name] = draws
        found.differences[name] = judged(
            name,
            value_a,
            value_b,
            n,
            interval=interval,
            confidence=confidence,
            interval_method="paired bootstrap",
            p=p,
            p_method="paired bootstrap",
            reason=reason,
        )
    return found


def paired_rate(name: str, a: np.ndarray, b: np.ndarray, kind: str, *, confidence: float = 0.95) -> Difference:
    """Compare the share of images that count, e.g. of good ones that are rejected.

    Parameters
    ----------
    a, b : ndarray, (n,) bool
        Which images count in A and in B, n ≥ 1.
    kind : str
        What the images are, the key of ``n``.
    """
    n, gained, lost = len(a), int((b & ~a).sum()), int((a & ~b).sum())
    return judged(
        name,
        float(a.mean()),
        float(b.mean()),
        {kind: n},
        interval=compare_proportions(gained, lost, n, confidence=confidence),
        confidence=confidence,
        interval_method="bonett-price",
        p=mcnemar(gained, lost),
        p_method="mcnemar",
        facts={"only_a": lost, "only_b": gained},
    )


def mean_of(name: str, parts: Sequence[PairedCategory], *, of: int, confidence: float = 0.95) -> Difference:
    """Return the difference of a metric's mean over the categories in which both runs have it.

    The resamples of each category are averaged; the variances of rates are added, and their changed images counted
    together.

    Parameters
    ----------
    parts : sequence of PairedCategory
        Those that have a difference of this metric, at least one.
    of : int
        Number of categories that were compared.
    """
    from scipy.special import ndtri

    known = [part.differences[name] for part in parts]
    n: dict[str, int] = {"categories": len(known)}
    for difference in known:
        for kind, count in difference.n.items():
            n[kind] = n.get(kind, 0) + count
    a, b = (sum(getattr(one, side) for one in known) / len(known) for side in ("a", "b"))
    reason = None if len(known) == of else f"mean over {len(known)} of {of} categories: not defined in the others"
    facts: Mapping[str, int] = {}
    if all(name in part.flips for part in parts):
        flips = [part.flips[name] for part in parts]
        # Each adjusted centre is drawn towards 0; over many small categories that would add up, so they stay as found.
        variance = sum(_adjusted(*flip)[1] for flip in flips) / len(flips) ** 2
        centre, reach = b - a, float(ndtri(0.5 + confidence / 2.0)) * math.sqrt(variance)
        gained, lost = (sum(flip[side] for flip in flips) for side in (0, 1))
        interval: Optional[tuple[float, float]] = (max(-1.0, centre - reach), min(1.0, centre + reach))
        p: Optional[float] = mcnemar(gained, lost)
        methods, facts = ("bonett-price", "mcnemar"), {"only_a": lost, "only_b": gained}
    elif all(name in part.draws for part in parts):
        interval, p = bootstrap_interval(
            sum(part.draws[name] for part in parts) / len(parts),  # type: ignore[arg-type]
            confidence=confidence,
        )
        methods = ("paired bootstrap", "paired bootstrap")
    else:
        interval, p, methods = None, None, ("", "")
        no_data = {one.reason for one in known if one.reason}
        reason = "; ".join([*([reason] if reason else []), *sorted(no_data)]) or None
    return judged(
        name,
        a,
        b,
        n,
        interval=interval,
        confidence=confidence,
        interval_method=methods[0],
        p=p,
        p_method=methods[1],
        reason=reason,
        facts=facts,
    )
