"""What the rules on regions did to a category's test images, image by image and all together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Optional

from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.verdict import Verdict

__all__ = ["RegionTally"]


@dataclass
class RegionTally:
    """Counts regions as verdicts come by.

    Attributes
    ----------
    kept : list of int or None
        Regions of each image that count; None for one without a verdict or a map.
    removed : Counter
        Rule → regions that it removed.
    overruled : Counter
        Rule → images whose score reaches the threshold and that were not rejected: it removed their last region.
    """

    kept: list[Optional[int]] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    overruled: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Optional[Verdict]) -> None:
        """Count the next image; None for one without a score."""
        found = None if verdict is None else verdict.found
        self.kept.append(None if found is None else found.kept)
        if found is not None:
            self.removed.update(found.removed)
        if verdict is not None and verdict.overruled_by is not None:
            self.overruled[verdict.overruled_by] += 1

    def to_json(self, policy: RegionPolicy) -> Optional[dict[str, Any]]:
        """Return what a report says, JSON-friendly; None without rules, or without maps."""
        known = [number for number in self.kept if number is not None]
        if policy.plain or not known:
            return None
        return {
            "rules": policy.to_json(),
            "kept": sum(known),
            "removed": dict(sorted(self.removed.items())),
            "overruled": dict(sorted(self.overruled.items())) if policy.decides else None,
        }
