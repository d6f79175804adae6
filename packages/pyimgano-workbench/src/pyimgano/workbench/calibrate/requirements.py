"""What can be known of a calibration before anything is fitted: settings that contradict each other, too few images."""

from __future__ import annotations

from typing import Any, Optional

from pyimgano.core.conformal import images_needed
from pyimgano.core.errors import CalibrationError
from pyimgano.workbench.calibrate.methods import ThresholdMethod, folds_of, takes_defects, uses_alpha

__all__ = ["contradictions", "require_defects", "require_images"]


def contradictions(
    method: ThresholdMethod,
    pixel_method: Optional[ThresholdMethod] = None,
    *,
    review_alpha: Any = None,
    pixel_alpha: Any = None,
    pixel_params: Any = None,
    defects: Any = "none",
) -> list[tuple[str, str, str]]:
    """Return (key of ``calibration``, what is wrong, what to do) of settings that do not go together.

    Parameters
    ----------
    method, pixel_method : ThresholdMethod
        ``pixel_method`` is None where it is the same.
    review_alpha, pixel_alpha, pixel_params, defects
        As in the config.
    """
    found = []
    pixel = pixel_method or method
    if review_alpha is not None and not uses_alpha(method):
        found.append(("review_alpha", "has no effect: alpha does not move this method's threshold", "leave it out"))
    if pixel_alpha is not None and not uses_alpha(pixel):
        found.append(("pixel_alpha", "has no effect: alpha does not move this method's threshold", "leave it out"))
    if pixel_params and pixel_method is None:
        found.append(("pixel_params", "has no effect without pixel_method", "set calibration.pixel_method, too"))
    if folds_of(pixel) != folds_of(method):
        found.append(
            (
                "pixel_method",
                "needs other scores than calibration.method: other folds, or held-out images where the other has folds",
                "use the same for both, or leave pixel_method out",
            )
        )
    wanting = takes_defects(method) or takes_defects(pixel)
    if wanting and folds_of(method) is not None:
        found.append(("method", "folds and defective images do not go together", "use one of the two"))
    if wanting and defects == "none":
        found.append(
            (
                "defects",
                "is 'none', but the method needs labelled defective images",
                "set it to 'train' or 'validation', where the dataset has such images; test images are never taken",
            )
        )
    if not wanting and defects != "none":
        found.append(("defects", "has no effect: the method takes good images only", "use target-recall or cost-ratio"))
    return found


def require_images(
    method: ThresholdMethod, alpha: float, n: int, *, where: str, available: int, source: str = "hold-out"
) -> None:
    """Refuse, before anything is fitted, an ``alpha`` that ``n`` good images cannot support.

    Parameters
    ----------
    where : str
        The category, for the message.
    available : int
        All good images that could be fitted or held out.
    source : {"hold-out", "validation", "cross"}
        Where the n images come from.

    Raises
    ------
    CalibrationError
        It says how many images are needed.
    """
    needed = method.images_needed(alpha)
    if n >= needed:
        return
    ways = []
    if source == "hold-out" and needed < available:
        ways.append(f"calibration.holdout={needed}")
    smallest = _smallest_alpha(method, n)
    if smallest is not None:
        ways.append(f"calibration.alpha={smallest:g} or more")
    use = f"use --set {' or '.join(ways)}, bring" if ways else "bring"
    what = "good images" if source == "cross" else "held-out good images"
    alternatives = "calibration.method=quantile, which guarantees nothing"
    if source == "hold-out" and folds_of(method) is None and images_needed(alpha) <= available:
        alternatives = f"calibration.method=cross-conformal, which holds none of the {available} out, or {alternatives}"
    raise CalibrationError(
        f"alpha = {alpha:g} needs at least {needed} {what}, there are {n}",
        where=where,
        hint=f"{use} more good images, or use {alternatives}",
    )


def _smallest_alpha(method: ThresholdMethod, n: int) -> Optional[float]:
    """Return the smallest alpha, of four digits, that n images can support."""
    low, high = 0, 10_000  # in 1/10000: the one is too small, the other large enough or no alpha any more
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if method.images_needed(middle / 1e4) <= n else (middle, high)
    return None if high == 10_000 else high / 1e4


def require_defects(method: ThresholdMethod, alpha: float, n: int, *, where: str, source: str) -> None:
    """Refuse, before anything is fitted, a method that needs more labelled defective images than there are.

    Parameters
    ----------
    where : str
        The category, for the message.
    source : str
        The split that they were looked for in.

    Raises
    ------
    CalibrationError
        It says how many are needed.
    """
    needed = max(1, int(getattr(method, "defects_needed", lambda alpha: 1)(alpha)))
    if takes_defects(method) and n < needed:
        raise CalibrationError(
            f"the method needs at least {needed} labelled defective images of the {source} split, there are {n}",
            where=where,
            hint="move labelled defective images there (test images are never used), ask for less, or use "
            "calibration.method=conformal, which needs none",
        )
