"""Normalised cross-correlation, window by window, with the best of several templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.exported_pixels import ExportedPixels
from pyimgano.models.template_detector import TemplateDetector

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TemplateNcc", "Windows", "correlation"]


class Windows(NamedTuple):
    """An image, and its mean (h, w, C) and variance (h, w), summed over the channels, around every pixel: float64."""

    values: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, window: int) -> Windows:
        """Measure an image, (h, w, C), in windows of ``window`` × ``window`` pixels."""
        exact = values.astype(np.float64)
        mean = _box(exact, window)
        # A window of one value may come out a rounding error below zero.
        return cls(exact, mean, np.maximum((_box(exact * exact, window) - mean * mean).sum(axis=2), 0.0))


def correlation(x: Windows, y: Windows, window: int, epsilon: float) -> np.ndarray:
    """Return the normalised cross-correlation of two images in the window around every pixel.

    ``(σxy + ε) / √((σx² + ε)(σy² + ε))`` with population moments over the window, summed over the channels. With ε = 0
    it is the zero-mean normalised cross-correlation (OpenCV's ``TM_CCOEFF_NORMED`` of the two windows), which is not
    defined in a window of one value and is nothing but noise in one of nearly one value. ε settles both: two flat
    windows agree (1), a flat one and one with structure have nothing in common (towards 0), and between the two it is
    continuous. By Cauchy and Schwarz it lies in [-1, 1].

    Parameters
    ----------
    x, y : Windows
    window : int
    epsilon : float
        ε, above 0, in squared units of the values.

    Returns
    -------
    ndarray, (h, w) float64
        Beyond the border the images are mirrored.
    """
    covariance = (_box(x.values * y.values, window) - x.mean * y.mean).sum(axis=2)
    ratio: np.ndarray = (covariance + epsilon) / np.sqrt((x.variance + epsilon) * (y.variance + epsilon))
    return np.clip(ratio, -1.0, 1.0)


def _box(values: np.ndarray, window: int) -> np.ndarray:
    import cv2

    means: np.ndarray = cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT)
    return means.reshape(values.shape)


class TemplateNcc(TemplateDetector, ExportedPixels):
    """One minus the local normalised cross-correlation (NCC) with the best of several templates, at every pixel.

    ``difference(p) = 1 - max_t NCC(x, t)(p)``, in [0, 2]: 0 where the window around p has the template's structure,
    1 where they have nothing in common, 2 where one is the other's negative. NCC is that of :func:`correlation` (Lewis,
    *Fast normalized cross-correlation*, Vision Interface 1995); windows of nearly one value are defined there.

    It forgives any change of brightness and contrast of a window, so it does not see a flat stain inside itself, only
    along its edge; that is the price. ``template-ssim`` sees it.

    The defaults were chosen on good ELPV mono cells of the training part into half of which cracks and stains were
    painted (image AUROC, mean over two splits): 0.959; without ``standardize`` 0.949, and then with 8 templates 0.946,
    with the map smoothed by 1 pixel as well 0.937 (windows of 7 or 15 pixels: 0.935, 0.937; epsilon 0.001 or 0.05:
    0.895, 0.921).

    Parameters
    ----------
    input_size, map_sigma, top_fraction, batch_size
        See :class:`~pyimgano.models.pixel_detector.PixelDetector`.
    color : {"grey", "rgb"}
        Of colour images the moments are summed over the channels.
    normalize : bool
        Bring every image to mean 0 and standard deviation 1 per channel, which matters for ``epsilon`` and for the
        choice of the templates.
    blur_sigma : float
        Standard deviation of a Gaussian blur of the images; forgives small shifts and noise.
    window : int
        Side of the windows in pixels of ``input_size``: odd, at least 3.
    epsilon : float
        Variance, summed over the channels, of a window below which it counts as flat: in units of the squared standard
        deviation of a whole image when ``normalize``, else of squared grey levels / 255².
    n_templates, standardize, max_images, seed
        See :class:`~pyimgano.models.template_detector.TemplateDetector`.

    Attributes
    ----------
    templates_, template_places_, map_mean_, map_scale_
        See :class:`~pyimgano.models.template_detector.TemplateDetector`.
    """

    def __init__(
        self,
        input_size: Union[int, Sequence[int]] = 128,
        color: str = "grey",
        normalize: bool = True,
        blur_sigma: float = 1.0,
        window: int = 11,
        epsilon: float = 0.01,
        n_templates: int = 16,
        map_sigma: float = 2.0,
        top_fraction: float = 0.0,
        standardize: bool = True,
        max_images: int = 1000,
        seed: int = 0,
        batch_size: int = 8,
    ) -> None:
        self.input_size = input_size
        self.color = color
        self.normalize = normalize
        self.blur_sigma = blur_sigma
        self.window = window
        self.epsilon = epsilon
        self.n_templates = n_templates
        self.map_sigma = map_sigma
        self.top_fraction = top_fraction
        self.standardize = standardize
        self.max_images = max_images
        self.seed = seed
        self.batch_size = batch_size

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        super().validate()
        odd = is_whole(self.window, 3) and self.window % 2 == 1
        require(odd, "window", self.window, "an odd number of pixels, at least 3")
        require(is_real(self.epsilon) and self.epsilon > 0.0, "epsilon", self.epsilon, "above 0")

    def _describe(self, values: np.ndarray) -> Windows:
        return Windows.of(values, self.window)

    def _likeness(self, image: Windows, template: Windows) -> np.ndarray:
        return correlation(image, template, self.window, self.epsilon)

    def _graph_compare(self) -> nn.Module:
        from pyimgano.models.graphs.blurring import Blur
        from pyimgano.models.graphs.templates import LocalCorrelation

        window = Blur(self._graph_size(), lambda column: _box(column, self.window))
        return LocalCorrelation(self._described, window, epsilon=self.epsilon)

    def _graph_usual(self) -> Optional[tuple[np.ndarray, np.ndarray]]:
        return (self.map_mean_, self.map_scale_) if self.standardize else None
