"""Requirements that a run must meet: on its values and on what they were measured on, never on files being there."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Callable, Optional

from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.workbench.compare.directions import known_metric
from pyimgano.workbench.compare.measured import MeasuredCategory, MeasuredRun

__all__ = ["Check", "Requirement", "check_requirements", "parse_minimum", "parse_requirement"]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*([^<>=\s]+)\s*(>=|<=|>|<)\s*(\S+)\s*")
_KINDS = {"good": ("rejected_good", "passed_good", "review_good")}
_KINDS["defective"] = ("rejected_defective", "passed_defective", "review_defective")


@dataclass(frozen=True)
class Requirement:
    """What a metric must be.

    Attributes
    ----------
    metric : str
        Its name.
    relation : str
        ``">="``, ``"<="``, ``">"`` or ``"<"``.
    limit : float
        In the metric's unit.
    """

    metric: str
    relation: str
    limit: float

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.limit:g}"


@dataclass(frozen=True)
class Check:
    """One requirement on one category.

    Attributes
    ----------
    category : str or None
        None for the whole run, e.g. the mean over its categories.
    requirement : str
        In words.
    value : float or None
        What was found.
    judged : float or None
        What was compared: the value, or the pessimistic end of its interval.
    n : mapping
        What it was counted on.
    passed : bool
        Whether it is met.
    reason : str
        Why not; empty where it is met.
    """

    category: Optional[str]
    requirement: str
    value: Optional[float]
    judged: Optional[float]
    n: Mapping[str, int]
    passed: bool
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return asdict(self)


def parse_requirement(text: str, *, where: str = "--require") -> Requirement:
    """Read e.g. ``image_auroc>=0.95``.

    Raises
    ------
    ConfigError
        When it has another form.
    """
    match = _FORM.fullmatch(text)
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise ConfigError(
            f"cannot read {text!r}", where=where, allowed='METRIC>=VALUE, also with <=, > or <, e.g. "overkill<=0.02"'
        )
    return Requirement(match[1], match[2], limit)


def parse_minimum(text: str, *, where: str = "--min-n") -> tuple[str, int]:
    """Read e.g. ``good=50``.

    Raises
    ------
    ConfigError
        When it has another form.
    """
    kind, equals, number = (part.strip() for part in text.partition("="))
    if not equals or not kind or not number.isdecimal():
        raise ConfigError(f"cannot read {text!r}", where=where, allowed="KIND=NUMBER, e.g. good=50 or regions=30")
    return kind, int(number)


def check_requirements(
    run: MeasuredRun,
    requirements: Sequence[Requirement],
    *,
    minimum: Optional[Mapping[str, int]] = None,
    bound: bool = False,
    mean: bool = False,
    categories: Optional[Sequence[str]] = None,
) -> list[Check]:
    """Check a run.

    Parameters
    ----------
    requirements : sequence of Requirement
        Each must hold in each category.
    minimum : mapping, optional
        Kind of image (or of what a required metric counts, e.g. ``"regions"``) → how many each category must have
        measured.
    bound : bool
        Whether the pessimistic end of the metric's interval must meet the requirement, not the value alone.
    mean : bool
        Whether the mean over all categories is checked instead of each of them.
    categories : sequence of str, optional
        Check these only.

    Returns
    -------
    list of Check
        The first is whether enough test images have a score.

    Raises
    ------
    UnknownNameError
        When there is no such metric, category or kind.
    ConfigError
        When ``mean`` meets ``bound`` or ``categories``.
    """
    if mean and (bound or categories):
        raise ConfigError(
            "is about single categories", where="--bound" if bound else "--category", hint="leave --mean out"
        )
    for requirement in requirements:
        known_metric(requirement.metric, run.metric_names(), where="--require")
    parts = [_category(run, name) for name in categories] if categories else list(run.categories.values())
    checks = [_scored(run)]
    for part in parts:
        for kind, needed in (minimum or {}).items():
            checks.append(_enough(part, kind, needed, requirements))
    if mean:
        return checks + [_check_mean(run, requirement) for requirement in requirements]
    return checks + [_check(part, requirement, bound) for part in parts for requirement in requirements]


def _category(run: MeasuredRun, name: str) -> MeasuredCategory:
    if name not in run.categories:
        raise UnknownNameError(
            f"the run has no category {name!r}",
            where="--category",
            allowed=", ".join(run.categories),
            hint=unknown_name_hint(name, run.categories),
        )
    return run.categories[name]


def _scored(run: MeasuredRun) -> Check:
    errors = run.report.get("errors") or {}
    n, allowed = errors.get("n"), errors.get("max_errors")
    words = f"test images without a score <= {allowed}"
    if n is None or allowed is None:
        return Check(None, "test images without a score", None, None, {}, passed=False, reason="the report lacks them")
    reason = "" if n <= allowed else "more than max_errors of the run's config"
    return Check(None, words, float(n), float(n), {"test": run.report.get("n_test", 0)}, n <= allowed, reason)


def _enough(part: MeasuredCategory, kind: str, needed: int, requirements: Sequence[Requirement]) -> Check:
    words = f"n of {kind} >= {needed}"
    if kind in _KINDS:
        confusion = part.report.get("confusion") or {}
        n: Optional[int] = sum(confusion.get(key, 0) for key in _KINDS[kind])
    else:
        counted = [part.metrics[one.metric]["n"] for one in requirements if one.metric in part.metrics]
        found = [counts[kind] for counts in counted if kind in counts]
        if not found:
            known = sorted({*_KINDS, *(key for counts in counted for key in counts)})
            raise UnknownNameError(
                f"no required metric counts {kind!r}",
                where="--min-n",
                allowed=", ".join(known),
                hint=unknown_name_hint(kind, known),
            )
        n = min(found)
    passed = n is not None and n >= needed
    return Check(part.name, words, n, n, {kind: n or 0}, passed, "" if passed else "too few to judge by")


def _check(part: MeasuredCategory, requirement: Requirement, bound: bool) -> Check:
    metric = part.metrics.get(requirement.metric)
    if metric is None:
        return Check(part.name, str(requirement), None, None, {}, passed=False, reason="the category does not have it")
    value, n, judged = metric["value"], metric["n"], metric["value"]
    if value is None:
        reason = f"not defined: {metric.get('reason', 'no reason given')}"
        return Check(part.name, str(requirement), None, None, n, passed=False, reason=reason)
    words = str(requirement)
    if bound:
        words += " with its interval"
        interval = metric.get("interval")
        if interval is None:
            reason = "has no interval, which --bound asks for"
            return Check(part.name, words, value, None, n, passed=False, reason=reason)
        judged = interval[0] if requirement.relation.startswith(">") else interval[1]
    return _judge(part.name, words, requirement, value, judged, n)


def _check_mean(run: MeasuredRun, requirement: Requirement) -> Check:
    found = (run.report.get("means") or {}).get(requirement.metric) or {}
    value, n = found.get("value"), {"categories": found.get("n_categories", 0)}
    words = f"mean {requirement}"
    if value is None:
        return Check(None, words, None, None, n, passed=False, reason="not defined in any category")
    if found["n_categories"] != found["of"]:
        reason = f"defined in {found['n_categories']} of {found['of']} categories only"
        return Check(None, words, value, None, n, passed=False, reason=reason)
    return _judge(None, words, requirement, value, value, n)


def _judge(
    category: Optional[str], words: str, requirement: Requirement, value: float, judged: float, n: Mapping[str, int]
) -> Check:
    if not (math.isfinite(value) and math.isfinite(judged)):
        return Check(category, words, None, None, n, passed=False, reason="is not finite")
    passed = _OPERATORS[requirement.relation](judged, requirement.limit)
    reason = "" if passed else f"{judged:.6g} is not {requirement.relation} {requirement.limit:g}"
    return Check(category, words, value, judged, n, passed, reason)
