"""The files that one image's map becomes: map, mask, overlay. The same for a run's test images and for inference."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.core.images import as_rgb8, write_png
from pyimgano.workbench.render.maps import MAP_SUFFIX, map_at, write_map
from pyimgano.workbench.render.overlay import MapScale, overlay

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PictureWriter"]


@dataclasses.dataclass(frozen=True)
class PictureWriter:
    """Writes what was asked for into the folders ``maps``, ``masks`` and ``overlays`` below ``folder``.

    Parameters
    ----------
    folder : Path
        Where the three folders lie; the ones that are needed are made.
    maps, masks, overlays : bool
        What to write: the raw map (32-bit float TIFF), the mask of the regions that count (PNG, 0/255), the image with
        its heat-map (PNG). Maps and masks have the size of the source image.
    value_range : (float, float), optional
        How the source images are read for overlays, see :func:`pyimgano.core.images.to_rgb8`.
    """

    folder: Path
    maps: bool = False
    masks: bool = False
    overlays: bool = False
    value_range: Optional[tuple[float, float]] = None

    @property
    def wanted(self) -> bool:
        """Whether anything is to be written."""
        return self.maps or self.masks or self.overlays

    def write(
        self,
        stem: str,
        source: Any,
        anomaly_map: np.ndarray,
        shape: tuple[int, int],
        *,
        low: Optional[float],
        threshold: Optional[float],
        found: Optional[np.ndarray] = None,
        inside: Optional[np.ndarray] = None,
        truth: Optional[np.ndarray] = None,
    ) -> dict[str, str]:
        """Write the files of one image.

        Parameters
        ----------
        stem : str
            Their name without its ending; with ``/`` for folders. Must be unique.
        source : path-like or ndarray
            The image; read again for an overlay.
        anomaly_map : ndarray, (h, w)
            Raw values.
        shape : (int, int)
            (H, W) of the image.
        low, threshold : float or None
            Usual map value of good images, and pixel threshold; maps need neither.
        found : ndarray, (H, W) bool, optional
            The regions that count, see :func:`pyimgano.workbench.regions.find_regions`; maps do not need it.
        inside : ndarray, (H, W) bool, optional
            The pixels that count, for the overlay.
        truth : ndarray, (H, W) bool, optional
            Ground truth, outlined in the overlay.

        Returns
        -------
        dict
            ``map``, ``mask``, ``overlay`` → file, relative to ``folder``, with ``/``; those that were written.

        Raises
        ------
        PyimganoError
            When something cannot be written, or a mask or overlay is asked for without a threshold.
        """
        if (self.masks or self.overlays) and (threshold is None or low is None or found is None):
            raise PyimganoError("masks and overlays need a pixel threshold, and there is none", where=str(source))
        written: dict[str, str] = {}
        if self.maps:
            write_map(map_at(anomaly_map, shape), self._place(written, "map", f"maps/{stem}{MAP_SUFFIX}"))
        if self.masks and found is not None:
            write_png(found.astype("uint8") * 255, self._place(written, "mask", f"masks/{stem}.png"))
        if self.overlays and threshold is not None and low is not None:
            image = as_rgb8(source, value_range=self.value_range)
            scale = MapScale.between(low, threshold)
            picture = overlay(image, anomaly_map, scale, truth=truth, found=found, inside=inside)
            write_png(picture, self._place(written, "overlay", f"overlays/{stem}.png"))
        return written

    def _place(self, written: dict[str, str], key: str, name: str) -> Path:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PyimganoError(f"cannot make the folder: {error.strerror or error}", where=str(path.parent)) from error
        written[key] = name
        return path
