"""The heat-map over the image.

Its colours mean the same in every picture of a run: a map value is placed between what good images usually show and the
threshold, both of which come from held-out good images. No picture is stretched to its own minimum and maximum, which
would paint a hot spot on every good part.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.workbench.render.maps import map_at

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MapScale", "draw_outline", "overlay"]

MIN_SIDE = 256
"""Pictures whose longer side is smaller are enlarged by a whole factor: contours need pixels to be seen."""

STRENGTH = 0.65
"""Opacity of the hottest colour."""


@dataclasses.dataclass(frozen=True)
class MapScale:
    """Where map values lie between usual and defective.

    Attributes
    ----------
    low : float
        What good images usually show (the median of the held-out good images' map values). Drawn without colour.
    threshold : float
        Pixel threshold. Drawn in the middle of the colour map; values as far above it as ``low`` is below, and all
        higher ones, get its last colour.
    """

    low: float
    threshold: float

    def __post_init__(self) -> None:
        if not self.low < self.threshold:
            raise ParameterError(
                f"low = {self.low:g} is not below threshold = {self.threshold:g}", where="the scale of the maps"
            )

    @classmethod
    def between(cls, low: float, threshold: float) -> MapScale:
        """Return the scale of a calibration; maps without any contrast, whose two values meet, get a tiny one."""
        return cls(min(low, threshold - max(1e-6 * abs(threshold), 1e-12)), threshold)

    def levels(self, anomaly_map: np.ndarray) -> np.ndarray:
        """Return map values as float32 levels in [0, 1]; 0.5 is the threshold."""
        import numpy as np

        scaled = (np.asarray(anomaly_map, dtype=np.float64) - self.low) / (2.0 * (self.threshold - self.low))
        return np.clip(scaled, 0.0, 1.0).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the scale as a JSON-friendly mapping."""
        return dataclasses.asdict(self)


def overlay(
    image: np.ndarray,
    anomaly_map: np.ndarray,
    scale: MapScale,
    *,
    truth: Optional[np.ndarray] = None,
    found: Optional[np.ndarray] = None,
    inside: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Draw a heat-map over an image, and an outline around what was found.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
        RGB.
    anomaly_map : ndarray, (h, w)
        Raw values; brought to the image's size.
    scale : MapScale
        What the colours mean.
    truth : ndarray, (H, W) bool, optional
        Ground truth, outlined in blue.
    found : ndarray, (H, W) bool, optional
        What is outlined in white. Default: what reaches the threshold.
    inside : ndarray, (H, W) bool, optional
        The pixels that count: outlined in grey, and without colour outside.

    Returns
    -------
    ndarray, (H', W', 3) uint8
        RGB, the image's size times a whole factor (1 unless the image is small).

    Notes
    -----
    The colours are OpenCV's *inferno*: its lightness only rises, so the picture reads the same when printed in grey.
    """
    import cv2
    import numpy as np

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ImageError(f"shape {image.shape}, dtype {image.dtype}", allowed="(H, W, 3) uint8")
    factor = max(1, -(-MIN_SIDE // max(image.shape[:2])))
    shape = (image.shape[0] * factor, image.shape[1] * factor)
    if factor > 1:
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_NEAREST)
    values = map_at(anomaly_map, shape)
    levels = scale.levels(values)
    if inside is not None:
        inside = _enlarged(inside, factor)
        levels[~inside] = 0.0
    colours = cv2.applyColorMap(np.rint(levels * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = (STRENGTH * levels)[..., None]
    picture = np.rint(image * (1.0 - opacity) + colours * opacity).astype(np.uint8)
    if inside is not None:
        picture = draw_outline(picture, inside, (160, 160, 160))
    outlined = values >= scale.threshold if found is None else _enlarged(found, factor)
    picture = draw_outline(picture, outlined, (255, 255, 255))
    if truth is not None:
        picture = draw_outline(picture, _enlarged(truth, factor), (0, 200, 255))
    return picture


def _enlarged(mask: np.ndarray, factor: int) -> np.ndarray:
    import numpy as np

    return np.repeat(np.repeat(np.asarray(mask, dtype=bool), factor, axis=0), factor, axis=1)


def draw_outline(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return a copy of an RGB image with the outlines of a mask's regions, one or more pixels wide.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8
        RGB.
    mask : ndarray, (H, W) bool
        Regions.
    colour : (int, int, int)
        RGB.

    Returns
    -------
    ndarray, (H, W, 3) uint8
    """
    import cv2
    import numpy as np

    if mask.shape != image.shape[:2]:
        raise ImageError(f"the mask has shape {mask.shape}, its image {image.shape[:2]}", allowed="the same size")
    picture = np.ascontiguousarray(image).copy()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(image.shape[:2]) / 512))
    # A dark rim below keeps the line visible on light surfaces.
    cv2.drawContours(picture, contours, -1, (0, 0, 0), width + 2)
    cv2.drawContours(picture, contours, -1, colour, width)
    return picture
