"""Conditions on a comparison, for a pipeline that must not get worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.compare.comparison import Comparison
from pyimgano.workbench.compare.difference import Difference
from pyimgano.workbench.compare.directions import known_metric, require_direction

__all__ = ["Limit", "RegressionCheck", "check_regressions", "parse_limit"]

_ROUNDING = 1e-9
"""0.94 − 0.95 is not −0.01 to the last bit."""


@dataclass(frozen=True)
class Limit:
    """How much worse a metric may become.

    Attributes
    ----------
    metric : str
        Its name.
    margin : float
        ≥ 0, in the metric's unit.
    """

    metric: str
    margin: float = 0.0


@dataclass(frozen=True)
class RegressionCheck:
    """One limit on one category, or on the mean.

    Attributes
    ----------
    metric, margin
        The limit.
    category : str or None
        None for the mean over several categories.
    a, b, difference : float or None
        The values.
    passed : bool
        Whether B is not worse by more than the margin.
    reason : str
        Why.
    """

    metric: str
    margin: float
    category: Optional[str]
    a: Optional[float]
    b: Optional[float]
    difference: Optional[float]
    passed: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return asdict(self)


def parse_limit(text: str, *, where: str = "--fail-on-regression") -> Limit:
    """Read ``METRIC`` or ``METRIC:margin``.

    Raises
    ------
    ConfigError
        When the margin is no number ≥ 0.
    """
    metric, colon, margin = text.partition(":")
    try:
        value = float(margin) if colon else 0.0
    except ValueError:
        value = math.nan
    if not metric or not math.isfinite(value) or value < 0.0:
        raise ConfigError(
            f"cannot read {text!r}", where=where, allowed="METRIC or METRIC:margin, e.g. image_auroc:0.01"
        )
    return Limit(metric.strip(), value)


def check_regressions(
    comparison: Comparison, limits: Sequence[Limit], *, significant: bool = False
) -> list[RegressionCheck]:
    """Check every limit on every category, and on the mean where there are several.

    Parameters
    ----------
    limits : sequence of Limit
        See :func:`parse_limit`.
    significant : bool
        Whether a metric counts as worse only when its whole confidence interval lies beyond the margin.

    Raises
    ------
    UnknownNameError
        When no run has a metric; it names the nearest ones.
    ConfigError
        When a metric has no better direction, or has no interval that ``significant`` needs.
    """
    where = "--fail-on-regression"
    for limit in limits:
        known_metric(limit.metric, [*comparison.a.metric_names(), *comparison.b.metric_names()], where=where)
        require_direction(limit.metric, where=where)
    parts: list[tuple[Optional[str], Mapping[str, Difference]]] = [
        (part.name, part.metrics) for part in comparison.categories
    ]
    if len(parts) > 1:
        parts.append((None, comparison.metrics))
    return [
        _check(limit, category, metrics[limit.metric], significant)
        for limit in limits
        for category, metrics in parts
        if limit.metric in metrics
    ]


def _check(limit: Limit, category: Optional[str], found: Difference, significant: bool) -> RegressionCheck:
    def answer(passed: bool, reason: str) -> RegressionCheck:
        return RegressionCheck(limit.metric, limit.margin, category, found.a, found.b, found.difference, passed, reason)

    if found.difference is None:
        if found.a is None and found.b is None:
            return answer(True, f"defined in neither run: {found.reason}")
        if found.a is None:
            return answer(True, f"only B has a value: {found.reason}")
        return answer(False, f"cannot be compared: {found.reason}")
    sign = 1.0 if found.better == "lower" else -1.0
    worse = sign * found.difference
    if significant:
        if found.interval is None:
            raise ConfigError(
                f"{limit.metric} has no interval to judge it by",
                where="--significant",
                allowed="metrics of images",
                hint=str(found.reason or "leave --significant out"),
            )
        certain = min(sign * end for end in found.interval)
        if certain > limit.margin + _ROUNDING:
            return answer(False, f"worse by at least {certain:.4g} (95 % interval), allowed is {limit.margin:g}")
        return answer(True, f"not certainly worse by more than {limit.margin:g}")
    if worse > limit.margin + _ROUNDING:
        return answer(False, f"worse by {worse:.4g}, allowed is {limit.margin:g}")
    return answer(True, "not worse" if worse <= _ROUNDING else f"worse by {worse:.4g}, within {limit.margin:g}")
