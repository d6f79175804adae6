"""A Gaussian of every pixel: the simplest model of aligned images, and one that needs no deep learning library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real
from pyimgano.models.exported_pixels import ExportedPixels
from pyimgano.models.pixel_detector import smooth

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PixelGaussian"]


class PixelGaussian(ExportedPixels):
    """Mean and variance of every pixel over good images; the map is the distance from the mean in standard deviations.

    It suits parts that lie in the same place in every image. Fitting is one pass in constant memory (Welford's update
    in float64). Several channels are taken as independent: the map is the root mean square of their distances.

    The defaults were chosen on ELPV mono cells (200 good to fit on, image AUROC, mean over five splits): 0.905; without
    smoothing the map 0.904, at 64 pixels 0.90, with the mean of the map's highest 1 % as the image score 0.886, without
    ``normalize`` 0.824.

    Parameters
    ----------
    input_size : int or (int, int)
        Side, or (height, width), at which pixels are compared.
    color : {"rgb", "grey"}
        Whether colour counts.
    normalize : bool
        Bring every image to mean 0 and standard deviation 1 per channel first, so that brightness and contrast of the
        whole image do not count.
    blur_sigma : float
        Standard deviation, in pixels of ``input_size``, of a Gaussian blur of the images; forgives small shifts.
        0: none.
    epsilon : float
        Added to the variances, so that a pixel that never changed does not divide by zero: in units of the squared
        standard deviation of a whole image when ``normalize``, else of squared grey levels / 255².
    map_sigma : float
        Standard deviation of a Gaussian blur of the map. 0: none.
    top_fraction : float
        The image score is the mean of this fraction of the map's highest values; 0: its maximum.
    batch_size : int

    Attributes
    ----------
    mean_, variance_ : ndarray, (h, w, C) float64
    """

    def __init__(
        self,
        input_size: Union[int, Sequence[int]] = 128,
        color: str = "rgb",
        normalize: bool = True,
        blur_sigma: float = 1.0,
        epsilon: float = 1e-3,
        map_sigma: float = 1.0,
        top_fraction: float = 0.0,
        batch_size: int = 8,
    ) -> None:
        self.input_size = input_size
        self.color = color
        self.normalize = normalize
        self.blur_sigma = blur_sigma
        self.epsilon = epsilon
        self.map_sigma = map_sigma
        self.top_fraction = top_fraction
        self.batch_size = batch_size

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        super().validate()
        require(is_real(self.epsilon) and self.epsilon > 0.0, "epsilon", self.epsilon, "above 0")

    def _fit(self, images: ImageBatches) -> None:
        count = 0
        mean: Any = 0.0
        squares: Any = 0.0
        for batch in images:
            for image in batch:
                values = self._values(image).astype(np.float64)
                count += 1
                difference = values - mean
                mean = mean + difference / count
                squares = squares + difference * (values - mean)
        self.mean_ = mean
        self.variance_ = squares / count

    def _map(self, image: np.ndarray) -> np.ndarray:
        squared = (self._values(image) - self.mean_) ** 2 / (self.variance_ + self.epsilon)
        return smooth(np.sqrt(squared.mean(axis=2)).astype(np.float32), self.map_sigma)

    def _graph_compare(self) -> nn.Module:
        from pyimgano.models.graphs.pixels import GaussianDistance

        return GaussianDistance(self.mean_, self.variance_ + self.epsilon)

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"mean": self.mean_, "variance": self.variance_}, {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.mean_ = arrays["mean"]
        self.variance_ = arrays["variance"]
