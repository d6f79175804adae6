"""Maps in units of what good images show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from pyimgano.core.errors import CalibrationError, CheckpointError, ImageError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Normalise"]

MAD_TO_SD = 1.4826022185056018  # 1 / Φ⁻¹(3/4)

SAMPLE = 1 << 18
"""Pixels of one map that go into the statistics of all pixels: evenly spread, so that large maps cost no memory."""

BLOCK_BYTES = 1 << 27
"""Of the maps' rows that are looked at together, pixel by pixel."""


class Normalise:
    """Subtract a centre and divide by a scale, both learned from good images: (map − centre) / scale.

    Nothing is clamped. With the scope ``"global"`` centre and scale are two numbers, which changes no order of pixels
    or images within a category; it makes maps of several categories comparable. With ``"pixel"`` each pixel has its
    own: what good parts show at a place again and again no longer counts as strange there. That wants parts that always
    lie in the same place.

    Parameters
    ----------
    method : {"robust", "percentile"}
        ``"robust"``: centre is the median, scale 1.4826 · MAD (the deviation of a normal law). ``"percentile"``: centre
        is the percentile ``low``, scale the distance to the percentile ``high``.
    scope : {"global", "pixel"}
        Over all pixels of all images, or at each pixel over the images.
    low, high : float
        Percentiles, 0 ≤ low < high ≤ 100. Unused by ``"robust"``.
    floor : float
        With the scope ``"pixel"``, the smallest scale, as a fraction of the median scale of all pixels: where good
        images happen to agree, a hair's breadth is no defect.

    Notes
    -----
    The statistics leave out what lies outside of the region of interest and the border. Of maps with more than 2¹⁸
    pixels the scope ``"global"`` looks at an evenly spread part.
    """

    learns: ClassVar[bool] = True

    def __init__(
        self,
        *,
        method: str = "robust",
        scope: str = "global",
        low: float = 50.0,
        high: float = 99.0,
        floor: float = 0.1,
    ) -> None:
        require(method in ("robust", "percentile"), "method", method, "'robust' or 'percentile'")
        require(scope in ("global", "pixel"), "scope", scope, "'global' or 'pixel'")
        require(_number(low) and 0 <= low < 100, "low", low, "a percentile from 0 to below 100")
        require(_number(high) and low < high <= 100, "high", high, "a percentile above low, up to 100")
        require(_number(floor) and 0 < floor <= 1, "floor", floor, "a fraction above 0, up to 1")
        self.method = method
        self.scope = scope
        self.low = float(low)
        self.high = float(high)
        self.floor = float(floor)
        self._centre: Optional[np.ndarray] = None
        self._scale: Optional[np.ndarray] = None

    def images_needed(self) -> int:
        """Return 2; pixel by pixel 8, or as many as it takes for one image to lie above the percentile ``high``."""
        if self.scope == "global":
            return 2
        if self.method == "robust" or self.high == 100.0:
            return 8
        return max(8, math.ceil(100.0 / (100.0 - self.high)))

    def fit(self, maps: Sequence[np.ndarray], inside: Sequence[Optional[np.ndarray]]) -> None:
        """Learn centre and scale.

        Parameters
        ----------
        maps : sequence of ndarray, (h, w) float32
            Of good images.
        inside : sequence of ndarray, (h, w) bool, or None
            The pixels that count; None: all.

        Raises
        ------
        CalibrationError
            When there are too few, their sizes differ where they must not, or good images show no difference at all.
        """
        if len(maps) < self.images_needed():
            raise CalibrationError(
                f"learns from at least {self.images_needed()} good images, there are {len(maps)}",
                where="postprocess 'normalise'",
            )
        centre, scale = self._of_all(maps, inside) if self.scope == "global" else self._of_each(maps)
        if self.scope == "pixel":
            known = scale if inside[0] is None else scale[inside[0]]
            least = self.floor * float(_np().median(known))
            scale = _np().maximum(scale, least)
        if not float(scale.min()) > 0.0:
            raise CalibrationError(
                "the maps of good images do not differ, so there is no scale",
                where="postprocess 'normalise'",
                hint="leave normalise out"
                + ("" if self.method == "robust" else ", or choose percentiles farther apart"),
            )
        self._centre, self._scale = centre.astype("float32"), scale.astype("float32")

    def _of_all(
        self, maps: Sequence[np.ndarray], inside: Sequence[Optional[np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        np = _np()
        parts = []
        for index in range(len(maps)):
            values, counts = maps[index], inside[index]
            flat = values.ravel() if counts is None else values[counts]
            parts.append(flat[:: max(1, -(-flat.size // SAMPLE))])
        return self._statistics(np.concatenate(parts)[:, None])

    def _of_each(self, maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        np = _np()
        shape = maps[0].shape
        rows = max(1, min(shape[0], BLOCK_BYTES // max(1, 4 * shape[1] * len(maps))))
        centre, scale = np.empty(shape, np.float64), np.empty(shape, np.float64)
        for start in range(0, shape[0], rows):
            part = []
            for index in range(len(maps)):
                values = maps[index]
                if values.shape != shape:
                    raise CalibrationError(
                        f"maps of {values.shape[1]}×{values.shape[0]} and of {shape[1]}×{shape[0]} pixels",
                        where="postprocess 'normalise'",
                        allowed="scope = 'pixel' for images of one size; else scope = 'global'",
                    )
                part.append(values[start : start + rows])
            centre[start : start + rows], scale[start : start + rows] = self._statistics(np.stack(part))
        return centre, scale

    def _statistics(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return centre and scale over the first axis, float64."""
        np = _np()
        if self.method == "percentile":
            low, high = np.percentile(values.astype(np.float64), [self.low, self.high], axis=0)
            return low, high - low
        middle = np.median(values.astype(np.float64), axis=0)
        return middle, MAD_TO_SD * np.median(np.abs(values - middle), axis=0)

    def __call__(self, anomaly_map: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return the normalised map, (h, w) float32.

        Parameters
        ----------
        anomaly_map : ndarray, (h, w) float32
        shape : (int, int)
            (H, W) of the source image.

        Raises
        ------
        ImageError
            With the scope ``"pixel"``, when the map has another size than those that were learned from.
        """
        np = _np()
        if self._centre is None or self._scale is None:
            raise CalibrationError("has not learned from any image yet", where="postprocess 'normalise'")
        if self.scope == "pixel" and anomaly_map.shape != self._centre.shape:
            own, learned = anomaly_map.shape, self._centre.shape
            raise ImageError(
                f"its map has {own[1]}×{own[0]} pixels, those that 'normalise' learned from {learned[1]}×{learned[0]}",
                allowed="images of one size, or scope = 'global'",
            )
        return np.asarray((anomaly_map - self._centre) / self._scale, dtype=np.float32)

    def state(self) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Return ``centre`` and ``scale``, float32, (1,) or (h, w); as facts their range."""
        centre, scale = self._centre, self._scale
        if centre is None or scale is None:
            raise CalibrationError("has not learned from any image yet", where="postprocess 'normalise'")
        arrays = {"centre": centre, "scale": scale}
        facts = {name: [float(array.min()), float(array.max())] for name, array in arrays.items()}
        return arrays, facts

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take what :meth:`state` gave.

        Raises
        ------
        CheckpointError
            When it is something else.
        """
        if "centre" not in arrays or "scale" not in arrays or arrays["centre"].shape != arrays["scale"].shape:
            raise CheckpointError("no centre and scale of one shape", where="postprocess 'normalise'")
        self._centre, self._scale = arrays["centre"], arrays["scale"]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _np() -> Any:
    import numpy

    return numpy
