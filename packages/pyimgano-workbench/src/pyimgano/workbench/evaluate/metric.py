"""A number with what it was counted on; or none, with the reason. Never NaN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

__all__ = ["Metric"]


@dataclass(frozen=True)
class Metric:
    """One measured value.

    Attributes
    ----------
    value : float or None
        None where it is not defined.
    n : mapping
        What it was counted on, e.g. ``{"good": 100, "defective": 100}``.
    reason : str or None
        Why there is no value.
    facts : mapping
        What belongs to it, e.g. its interval or threshold.
    """

    value: Optional[float]
    n: Mapping[str, int]
    reason: Optional[str] = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def undefined(cls, reason: str, **n: int) -> Metric:
        """Return the metric that has no value."""
        return cls(None, n, reason)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping; ``reason`` stands only where the value is null."""
        data: dict[str, Any] = {"value": self.value, "n": dict(self.n), **self.facts}
        if self.value is None:
            data["reason"] = self.reason
        return data
