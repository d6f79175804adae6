"""From the scores of good images, and perhaps of defective ones, to a calibration card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, cast

from pyimgano.core.errors import CalibrationError
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.calibrate.interval import OverkillInterval
from pyimgano.workbench.calibrate.methods import ThresholdMethod, create_method, takes_defects

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PixelWay", "calibrate"]

QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}


@dataclass(frozen=True)
class PixelWay:
    """How the pixel threshold is found; None is as for images.

    Attributes
    ----------
    method : str or None
        A component of kind ``threshold``.
    params : mapping
        Its parameters.
    alpha : float or None
        Share of good images that may show a marked pixel.
    low_alpha : float or None
        The same of the low threshold that regions extend to.
    low_fraction : float or None
        Instead, where it lies between what good images usually show (0) and the pixel threshold (1).
    """

    method: Optional[str] = None
    params: Mapping[str, Any] = field(default_factory=dict)
    alpha: Optional[float] = None
    low_alpha: Optional[float] = None
    low_fraction: Optional[float] = None


def calibrate(
    scores: Sequence[float],
    *,
    method: str,
    params: Mapping[str, Any],
    alpha: float,
    fingerprint: str,
    source: str = "hold-out",
    review_alpha: Optional[float] = None,
    map_maxima: Optional[Sequence[float]] = None,
    map_medians: Optional[Sequence[float]] = None,
    pixel: Optional[PixelWay] = None,
    defect_scores: Optional[Sequence[float]] = None,
    defect_maxima: Optional[Sequence[float]] = None,
    defects_fingerprint: Optional[str] = None,
    n_normalisation: int = 0,
    normalisation_fingerprint: Optional[str] = None,
    by_regions: bool = False,
) -> CalibrationCard:
    """Return the card for the scores of good images that the model has not seen.

    Parameters
    ----------
    scores : sequence of float, (n,)
        Image scores.
    method, params, alpha, review_alpha
        See :class:`~pyimgano.workbench.config.CalibrationConfig`.
    fingerprint, source : str
        Of these images: see :class:`~pyimgano.workbench.calibrate.CalibrationCard`.
    map_maxima, map_medians : sequence of float, (n,), optional
        Maximum and median of each image's map.
    pixel : PixelWay, optional
        How the pixel threshold is found. Default: as the image threshold.
    defect_scores, defect_maxima : sequence of float, (m,), optional
        Of labelled defective images, for the methods that take them.
    defects_fingerprint : str, optional
        Of these.
    n_normalisation, normalisation_fingerprint
        Of the good images that rules on maps have learned from.
    by_regions : bool
        Whether regions decide about images, so that the pixel threshold's promise is the one that counts.

    Raises
    ------
    CalibrationError
        When there are too few images for ``alpha``, a score is not finite, or the method's threshold is none.
    """
    import numpy as np

    values = _finite(scores, "a held-out score")
    maxima = None if map_maxima is None else _finite(map_maxima, "a held-out map")
    medians = None if map_medians is None else _finite(map_medians, "a held-out map")
    defects = None if defect_scores is None else _finite(defect_scores, "a defective image's score")
    defect_maps = None if defect_maxima is None else _finite(defect_maxima, "a defective image's map")
    way = create_method(method, params)
    threshold = _threshold(way, method, values, defects, alpha)
    review = None if review_alpha is None else _threshold(way, method, values, defects, review_alpha)
    pixel = pixel or PixelWay()
    pixel_name = pixel.method or method
    pixel_params = dict(pixel.params if pixel.method else params)
    pixel_alpha = pixel.alpha or alpha
    pixel_threshold = low_threshold = None
    low = None if medians is None else float(np.median(medians))
    if maxima is not None:
        pixel_way = create_method(pixel_name, pixel_params)
        try:
            pixel_threshold = _threshold(pixel_way, pixel_name, maxima, defect_maps, pixel_alpha)
            if pixel.low_alpha is not None:
                low_threshold = _threshold(pixel_way, pixel_name, maxima, defect_maps, pixel.low_alpha)
        except CalibrationError as error:
            error.where = error.where or "the pixel threshold, from the maxima of the maps (calibration.pixel_method)"
            raise
        if pixel.low_fraction is not None and low is not None:
            low_threshold = low + pixel.low_fraction * (pixel_threshold - low)
        if low_threshold is not None:
            low_threshold = min(low_threshold, pixel_threshold)
    interval = _interval(way, values, alpha, threshold)
    has_maps = pixel_threshold is not None
    guarantee = _guarantee(way, alpha, review_alpha, len(values), defects, band=review is None or review < threshold)
    if by_regions and has_maps:
        reason = "regions decide: the overkill is at most that of the pixel threshold, less what rules remove"
        interval = OverkillInterval.unknown(reason)
        guarantee = _by_regions(create_method(pixel_name, pixel_params), pixel_alpha, len(values), defects, guarantee)
    return CalibrationCard(
        method=method,
        params=dict(params),
        alpha=alpha,
        n=len(values),
        threshold=threshold,
        guarantee=guarantee,
        fingerprint=fingerprint,
        held_out_scores=tuple(float(value) for value in values),
        source=source,
        distribution=_distribution(values),
        review_threshold=review if review is not None and review < threshold else None,
        review_alpha=review_alpha,
        pixel_threshold=pixel_threshold,
        pixel_method=pixel_name if has_maps else None,
        pixel_params=pixel_params if has_maps else None,
        pixel_alpha=pixel_alpha if has_maps else None,
        map_low=low,
        interval=interval.bounds,
        confidence=interval.confidence,
        interval_method=interval.method,
        interval_reason=interval.reason,
        n_defects=0 if defects is None else len(defects),
        defects_fingerprint=None if defects is None else defects_fingerprint,
        pixel_low_threshold=low_threshold,
        n_normalisation=n_normalisation,
        normalisation_fingerprint=normalisation_fingerprint,
        details=dict(getattr(way, "details", lambda scores, alpha: {})(values, alpha)),
    )


def _finite(numbers: Sequence[float], what: str) -> np.ndarray:
    import numpy as np

    values = np.sort(np.asarray(numbers, dtype=np.float64).ravel())
    if values.size == 0:
        raise CalibrationError("no images to calibrate on")
    if not np.isfinite(values).all():
        raise CalibrationError(f"{what} is not finite")
    return values


def _threshold(
    way: ThresholdMethod, name: str, values: np.ndarray, defects: Optional[np.ndarray], alpha: float
) -> float:
    if takes_defects(way) and defects is not None:
        threshold = float(cast("Any", way).threshold_with_defects(values, defects, alpha))
    else:
        threshold = float(way.threshold(values, alpha))
    if not math.isfinite(threshold):
        raise CalibrationError(f"the method gave the threshold {threshold}", where=f"threshold {name!r}")
    return threshold


def _interval(way: ThresholdMethod, values: np.ndarray, alpha: float, threshold: float) -> OverkillInterval:
    ask = getattr(way, "overkill_interval", None)
    if ask is None:
        return OverkillInterval.unknown("the method has no law of the overkill that does not rest on an assumption")
    interval: OverkillInterval = ask(values, alpha, threshold)
    return interval


def _guarantee(
    way: ThresholdMethod,
    alpha: float,
    review_alpha: Optional[float],
    n: int,
    defects: Optional[np.ndarray],
    *,
    band: bool,
) -> str:
    if takes_defects(way) and defects is not None and hasattr(way, "guarantee_with_defects"):
        text = str(way.guarantee_with_defects(alpha, n, len(defects)))
    else:
        text = way.guarantee(alpha, n)
    if review_alpha is None:
        return text
    if not band:
        return f"{text} No image goes to review: review_alpha = {review_alpha:g} gives the same threshold."
    return f"{text} The same goes for the review threshold, with {review_alpha:g}."


def _by_regions(way: ThresholdMethod, alpha: float, n: int, defects: Optional[np.ndarray], of_the_score: str) -> str:
    """Say what holds where regions decide: the pixel threshold's promise, of which rules on regions take nothing."""
    if takes_defects(way) and defects is not None and hasattr(way, "guarantee_with_defects"):
        return (
            f"Regions decide, and rules remove some of them: nothing is promised of that. Of the score: {of_the_score}"
        )
    return (
        "Regions decide: an image is defective only where its map reaches the pixel threshold, of which holds: "
        f"{way.guarantee(alpha, n)} Of the score: {of_the_score}"
    )


def _distribution(values: np.ndarray) -> dict[str, Optional[float]]:
    import numpy as np

    found: dict[str, Optional[float]] = {name: float(np.quantile(values, at)) for name, at in QUANTILES.items()}
    found["mean"] = float(values.mean())
    found["sd"] = float(values.std(ddof=1)) if len(values) > 1 else None
    if not all(number is None or math.isfinite(number) for number in found.values()):
        raise CalibrationError("the held-out scores are too large to be described", where=f"up to {values[-1]:g}")
    return found
