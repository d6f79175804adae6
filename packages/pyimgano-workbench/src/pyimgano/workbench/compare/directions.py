"""Which way a metric is better, by its name, and what to say of a name that no run has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Optional

from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.core.names import unknown_name_hint

__all__ = ["better_is", "known_metric", "require_direction", "spoken"]

_LOWER = re.compile(r"overkill|escape|review_good|image_fpr_at_recall_.+|pixel_false_regions_per_good_image")
_HIGHER = re.compile(
    r"precision|recall|f1|(image|pixel)_(auroc|ap|f1max)|image_recall_at_fpr_.+"
    r"|pixel_(aupro|segf1|region_recall|au_spro)(_.+)?"
)


def better_is(metric: str) -> Optional[str]:
    """Return ``"higher"``, ``"lower"``, or None where neither is better (or the metric is a stranger's)."""
    if _LOWER.fullmatch(metric):
        return "lower"
    return "higher" if _HIGHER.fullmatch(metric) else None


def known_metric(metric: str, known: Iterable[str], *, where: str) -> str:
    """Return ``metric`` if it is one of ``known``.

    Raises
    ------
    UnknownNameError
        It names the nearest ones.
    """
    names = sorted(known)
    if metric not in names:
        raise UnknownNameError(
            f"there is no metric {metric!r}",
            where=where,
            allowed=", ".join(names),
            hint=unknown_name_hint(metric, names),
        )
    return metric


def require_direction(metric: str, *, where: str) -> str:
    """Return :func:`better_is` of a metric that is asked to be better or worse.

    Raises
    ------
    ConfigError
        When neither is better.
    """
    direction = better_is(metric)
    if direction is None:
        raise ConfigError(f"neither a higher nor a lower {metric} is better", where=where)
    return direction


def spoken(metric: str) -> str:
    """Return a metric's name as it stands in a sentence, e.g. ``image AUROC``."""
    words = metric.split("_")
    upper = {"auroc": "AUROC", "ap": "AP", "f1": "F1", "f1max": "F1max", "aupro": "AUPRO", "fpr": "FPR"}
    return " ".join(upper.get(word, word) for word in words)
