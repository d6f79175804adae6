"""The calibration card: a threshold together with everything that says what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from pyimgano.core.conformal import conformal_p_values
from pyimgano.core.errors import RunError

__all__ = ["CALIBRATION_SCHEMA", "CalibrationCard"]

CALIBRATION_SCHEMA = 2


@dataclass(frozen=True)
class CalibrationCard:
    """A threshold and its provenance.

    Attributes
    ----------
    method, params, alpha
        How it was found.
    n : int
        Number of good images whose scores it rests on.
    threshold : float
        Defective is score ≥ threshold.
    guarantee : str
        What it promises.
    fingerprint : str
        SHA-256 over the ids and contents of these images.
    held_out_scores : tuple of float
        Their scores, sorted, by models that have not seen them; p-values are computed from them.
    source : {"validation", "hold-out", "cross"}
        The dataset's own validation images, held-out training images, or all good images, each scored by a model that
        was fitted without it.
    review_threshold, review_alpha : float or None
        Between the two thresholds the decision is ``"review"``. There is no such band where ``review_alpha`` is null,
        nor where it gives the same threshold as ``alpha``.
    pixel_threshold : float or None
        A threshold for the maxima of these images' maps: with split conformal, a good image shows a false region with
        probability at most ``pixel_alpha``. None where the model has no maps.
    pixel_method, pixel_params, pixel_alpha
        How it was found; None without maps.
    map_low : float or None
        Median of the medians of the images' maps: what good images usually show; the lower end of the colours of
        overlays.
    interval : (float, float) or None
        Where the overkill of new good images is expected, given these.
    confidence, interval_method, interval_reason
        How sure the interval is and which law it is from; or why there is none.
    distribution : mapping
        ``min``, ``q05``, ``q25``, ``median``, ``q75``, ``q95``, ``max``, ``mean`` and ``sd`` (None for one image) of
        the held-out scores.
    n_defects : int
        Labelled defective images that took part.
    defects_fingerprint : str or None
        SHA-256 over their ids and contents.
    pixel_low_threshold : float or None
        What regions extend to, where there is hysteresis (``regions.hysteresis``).
    n_normalisation : int
        Held-out good images that rules on maps have learned from, and that are none of the ``n``.
    normalisation_fingerprint : str or None
        SHA-256 over their ids and contents.
    details : mapping
        What the method fitted on the way, e.g. the shape of a tail.
    """

    method: str
    alpha: float
    n: int
    threshold: float
    guarantee: str
    fingerprint: str
    held_out_scores: tuple[float, ...]
    source: str
    distribution: Mapping[str, Optional[float]]
    params: Mapping[str, Any] = field(default_factory=dict)
    review_threshold: Optional[float] = None
    review_alpha: Optional[float] = None
    pixel_threshold: Optional[float] = None
    pixel_method: Optional[str] = None
    pixel_params: Optional[Mapping[str, Any]] = None
    pixel_alpha: Optional[float] = None
    map_low: Optional[float] = None
    interval: Optional[tuple[float, float]] = None
    confidence: Optional[float] = None
    interval_method: Optional[str] = None
    interval_reason: Optional[str] = None
    n_defects: int = 0
    defects_fingerprint: Optional[str] = None
    pixel_low_threshold: Optional[float] = None
    n_normalisation: int = 0
    normalisation_fingerprint: Optional[str] = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def p_value(self, score: float) -> float:
        """Return the conformal p-value of one score: in (0, 1], small means unlike the good images."""
        import numpy as np

        return float(conformal_p_values(np.array([score]), np.asarray(self.held_out_scores))[0])

    def decision(self, score: float) -> str:
        """Return ``"defective"`` from the threshold on, ``"review"`` from the review threshold on, else ``"good"``."""
        if score >= self.threshold:
            return "defective"
        if self.review_threshold is not None and score >= self.review_threshold:
            return "review"
        return "good"

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON-friendly mapping; hysteresis and normalisation are told where there are any."""
        more: dict[str, Any] = {}
        if self.pixel_low_threshold is not None:
            more["pixel_low_threshold"] = self.pixel_low_threshold
        if self.n_normalisation:
            more["n_normalisation"] = self.n_normalisation
            more["normalisation_fingerprint"] = self.normalisation_fingerprint
        return {
            "schema_version": CALIBRATION_SCHEMA,
            "method": self.method,
            "params": dict(self.params),
            "alpha": self.alpha,
            "n": self.n,
            "source": self.source,
            "threshold": self.threshold,
            "review_alpha": self.review_alpha,
            "review_threshold": self.review_threshold,
            "guarantee": self.guarantee,
            "interval": None if self.interval is None else list(self.interval),
            "confidence": self.confidence,
            "interval_method": self.interval_method,
            "interval_reason": self.interval_reason,
            "details": dict(self.details),
            "pixel_method": self.pixel_method,
            "pixel_params": None if self.pixel_params is None else dict(self.pixel_params),
            "pixel_alpha": self.pixel_alpha,
            "pixel_threshold": self.pixel_threshold,
            "map_low": self.map_low,
            "fingerprint": self.fingerprint,
            "n_defects": self.n_defects,
            "defects_fingerprint": self.defects_fingerprint,
            **more,
            "distribution": dict(self.distribution),
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
            older = isinstance(version, int) and version < CALIBRATION_SCHEMA
            raise RunError(
                f"not a calibration card of version {CALIBRATION_SCHEMA}: {version!r}",
                where=where,
                hint="an older program wrote it: make the run again, with pyimgano train --config RUN/config.json"
                if older
                else None,
            )
        try:
            fields = {key: value for key, value in data.items() if key != "schema_version"}
            fields["held_out_scores"] = tuple(float(score) for score in fields["held_out_scores"])
            if fields.get("interval") is not None:
                low, high = fields["interval"]
                fields["interval"] = (float(low), float(high))
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not a calibration card: {error}", where=where) from error
