"""The calibration card: a threshold together with everything that says what it is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.conformal import conformal_p_values
from pyimgano.core.errors import CalibrationError, RunError
from pyimgano.workbench.calibrate.methods import ThresholdMethod, create_method

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CALIBRATION_SCHEMA", "CalibrationCard", "calibrate", "require_images"]

CALIBRATION_SCHEMA = 1


@dataclass(frozen=True)
class CalibrationCard:
    """A threshold and its provenance.

    Attributes
    ----------
    method, params, alpha
        How it was found.
    n : int
        Number of held-out good images.
    threshold : float
        Defective is score ≥ threshold.
    guarantee : str
        What it promises.
    fingerprint : str
        SHA-256 over the ids and contents of the held-out images.
    held_out_scores : tuple of float
        Their scores, sorted; p-values are computed from them.
    pixel_threshold : float or None
        The same method applied to the maxima of the held-out images' maps: with split conformal, a good image shows a
        false region with probability at most alpha. None where the model has no maps.
    map_low : float or None
        Median of the medians of the held-out images' maps: what good images usually show; the lower end of the colours
        of overlays.
    """

    method: str
    alpha: float
    n: int
    threshold: float
    guarantee: str
    fingerprint: str
    held_out_scores: tuple[float, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    pixel_threshold: Optional[float] = None
    map_low: Optional[float] = None

    def p_value(self, score: float) -> float:
        """Return the conformal p-value of one score: in (0, 1], small means unlike the good images."""
        import numpy as np

        return float(conformal_p_values(np.array([score]), np.asarray(self.held_out_scores))[0])

    def decision(self, score: float) -> str:
        """Return ``"defective"`` where score ≥ threshold, else ``"good"``."""
        return "defective" if score >= self.threshold else "good"

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON-friendly mapping."""
        return {
            "schema_version": CALIBRATION_SCHEMA,
            "method": self.method,
            "params": dict(self.params),
            "alpha": self.alpha,
            "n": self.n,
            "threshold": self.threshold,
            "guarantee": self.guarantee,
            "pixel_threshold": self.pixel_threshold,
            "map_low": self.map_low,
            "fingerprint": self.fingerprint,
            "held_out_scores": list(self.held_out_scores),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: str) -> CalibrationCard:
        """Return the card that :meth:`to_json` gave.

        Raises
        ------
        RunError
            When ``data`` is not a card of this version; ``where`` names the file.
        """
        version = data.get("schema_version") if isinstance(data, Mapping) else None
        if version != CALIBRATION_SCHEMA:
            raise RunError(f"not a calibration card of version {CALIBRATION_SCHEMA}: {version!r}", where=where)
        try:
            fields = {key: value for key, value in data.items() if key != "schema_version"}
            return cls(**{**fields, "held_out_scores": tuple(float(score) for score in fields["held_out_scores"])})
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not a calibration card: {error}", where=where) from error


def require_images(method: ThresholdMethod, alpha: float, n: int, *, where: str, available: int) -> None:
    """Refuse, before anything is fitted, an ``alpha`` that ``n`` held-out images cannot support.

    Parameters
    ----------
    where : str
        The category, for the message.
    available : int
        All good images that could be fitted or held out.

    Raises
    ------
    CalibrationError
        It says how many images are needed.
    """
    needed = method.images_needed(alpha)
    if n >= needed:
        return
    smallest = math.ceil(1e4 / (n + 1)) / 1e4
    ways = [f"calibration.alpha={smallest:g} or more"]
    if needed < available:
        ways.insert(0, f"calibration.holdout={needed}")
    raise CalibrationError(
        f"alpha = {alpha:g} needs at least {needed} held-out good images, there are {n}",
        where=where,
        hint=f"use --set {' or '.join(ways)}, bring more good images, or use calibration.method=quantile, "
        "which guarantees nothing",
    )


def calibrate(
    scores: Sequence[float],
    *,
    method: str,
    params: Mapping[str, Any],
    alpha: float,
    fingerprint: str,
    map_maxima: Optional[np.ndarray] = None,
    map_medians: Optional[np.ndarray] = None,
) -> CalibrationCard:
    """Return the card for the scores of held-out good images.

    Parameters
    ----------
    scores : sequence of float, (n,)
        Image scores.
    method, params, alpha
        See :class:`~pyimgano.workbench.config.CalibrationConfig`.
    fingerprint : str
        Of the held-out images.
    map_maxima, map_medians : ndarray, (n,), optional
        Maximum and median of each held-out image's map.

    Raises
    ------
    CalibrationError
        When there are too few images for ``alpha``, or a score is not finite.
    """
    import numpy as np

    way = create_method(method, params)
    values = np.sort(np.asarray(scores, dtype=np.float64))
    return CalibrationCard(
        method=method,
        params=dict(params),
        alpha=alpha,
        n=len(values),
        threshold=float(way.threshold(values, alpha)),
        guarantee=way.guarantee(alpha, len(values)),
        fingerprint=fingerprint,
        held_out_scores=tuple(float(value) for value in values),
        pixel_threshold=None if map_maxima is None else float(way.threshold(np.asarray(map_maxima), alpha)),
        map_low=None if map_medians is None else float(np.median(np.asarray(map_medians, dtype=np.float64))),
    )
