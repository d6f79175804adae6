"""Gaussian smoothing of a map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Smooth"]


class Smooth:
    """Convolve a map with a Gaussian.

    ``sigma`` is in pixels of the source image, whatever the map's own resolution: a map of half the image's width is
    smoothed with half of it. A map is mirrored at its edges, the edge pixel itself not repeated, so that a constant map
    stays as it is.

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian, above 0.

    Notes
    -----
    Well below one pixel of the map's own grid a Gaussian changes nothing: bringing such a map to the image's size
    has smoothed it already.
    """

    learns: ClassVar[bool] = False

    def __init__(self, *, sigma: float = 4.0) -> None:
        number = isinstance(sigma, (int, float)) and not isinstance(sigma, bool) and math.isfinite(sigma)
        require(number and sigma > 0, "sigma", sigma, "a number of pixels above 0")
        self.sigma = float(sigma)

    def __call__(self, anomaly_map: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return the smoothed map, (h, w) float32.

        Parameters
        ----------
        anomaly_map : ndarray, (h, w) float32
        shape : (int, int)
            (H, W) of the source image.
        """
        import numpy as np
        from scipy.ndimage import gaussian_filter

        sigmas = [self.sigma * own / source for own, source in zip(anomaly_map.shape, shape)]
        return np.asarray(gaussian_filter(anomaly_map, sigmas, output=np.float32, mode="mirror"))
