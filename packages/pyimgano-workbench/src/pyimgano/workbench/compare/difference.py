"""One metric of two runs: how far they lie apart, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from pyimgano.workbench.compare.directions import better_is

__all__ = ["Difference", "judged"]


@dataclass(frozen=True)
class Difference:
    """B minus A of one metric.

    Attributes
    ----------
    metric : str
        Its name.
    a, b, difference : float or None
        The values, and ``b - a``; None where it is not defined.
    n : mapping
        What both were counted on.
    better : str or None
        ``"higher"``, ``"lower"``, or None where neither is.
    verdict : str
        ``"better"`` or ``"worse"``: B is, beyond what the choice of test images explains. ``"not shown"``: the
        difference may be chance. ``"not tested"``: there is no interval. ``"not compared"``: there is no difference.
    interval : (float, float) or None
        Confidence interval of the difference.
    confidence : float
        Of the interval.
    interval_method : str or None
        ``"paired bootstrap"`` or ``"bonett-price"``.
    p : float or None
        Two-sided: how often a difference as large would be seen if there were none.
    p_method : str or None
        ``"paired bootstrap"`` or ``"mcnemar"``.
    reason : str or None
        Why there is no difference, or no interval.
    facts : mapping
        What else belongs to it.
    """

    metric: str
    a: Optional[float]
    b: Optional[float]
    difference: Optional[float]
    n: Mapping[str, int]
    better: Optional[str]
    verdict: str
    interval: Optional[tuple[float, float]] = None
    confidence: float = 0.95
    interval_method: Optional[str] = None
    p: Optional[float] = None
    p_method: Optional[str] = None
    reason: Optional[str] = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        data: dict[str, Any] = {
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "n": dict(self.n),
            "better": self.better,
            "verdict": self.verdict,
            "interval": None if self.interval is None else list(self.interval),
            "p": self.p,
        }
        if self.interval is not None:
            data["confidence"] = self.confidence
            data["interval_method"] = self.interval_method
        if self.p is not None:
            data["p_method"] = self.p_method
        data.update(self.facts)
        if self.reason is not None:
            data["reason"] = self.reason
        return data


def judged(
    metric: str,
    a: Optional[float],
    b: Optional[float],
    n: Mapping[str, int],
    *,
    interval: Optional[tuple[float, float]] = None,
    confidence: float = 0.95,
    interval_method: Optional[str] = None,
    p: Optional[float] = None,
    p_method: Optional[str] = None,
    reason: Optional[str] = None,
    facts: Optional[Mapping[str, Any]] = None,
) -> Difference:
    """Return the difference with its verdict: both the interval and p must say that it is none of chance."""
    difference = None if a is None or b is None else b - a
    better = better_is(metric)
    if difference is None:
        verdict, interval, p = "not compared", None, None
    elif interval is None or p is None:
        verdict = "not tested"
    elif better is None or interval[0] <= 0.0 <= interval[1] or p > 1.0 - confidence:
        verdict = "not shown"
    else:
        verdict = "better" if (difference > 0) == (better == "higher") else "worse"
    return Difference(
        metric,
        a,
        b,
        difference,
        n,
        better,
        verdict,
        interval,
        confidence,
        interval_method if interval is not None else None,
        p,
        p_method if p is not None else None,
        reason,
        facts or {},
    )
