"""Structural similarity to the best of several templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

import numpy as np

from pyimgano.models.exported_pixels import ExportedPixels
from pyimgano.models.template_detector import TemplateDetector

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LocalMoments", "TemplateSsim", "similarity"]

_WINDOW, _SIGMA = (11, 11), 1.5
_C1, _C2 = 0.01**2, 0.03**2
_MEAN, _SPREAD = 0.5, 0.2


class LocalMoments(NamedTuple):
    """An image, and its mean and variance in the window around every pixel: each (h, w, C) float64."""

    values: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> LocalMoments:
        """Measure an image of values in [0, 1]: (h, w, C)."""
        exact = values.astype(np.float64)
        mean = _blur(exact)
        return cls(exact, mean, _blur(exact * exact) - mean * mean)


def similarity(x: LocalMoments, y: LocalMoments) -> np.ndarray:
    """Return the structural similarity of two images at every pixel (Wang et al., TIP 2004, equation 13).

    ``(2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2))`` with the paper's window, a Gaussian of standard
    deviation 1.5 cut to 11 × 11 pixels, the population's variances, and the paper's constants for values in [0, 1].
    Beyond the border the image is mirrored, so that there is a value for every pixel.

    Returns
    -------
    ndarray, (h, w) float64
        In [-1, 1]; the mean over the channels.
    """
    covariance = _blur(x.values * y.values) - x.mean * y.mean
    luminance = (2.0 * x.mean * y.mean + _C1) / (x.mean**2 + y.mean**2 + _C1)
    structure = (2.0 * covariance + _C2) / (x.variance + y.variance + _C2)
    mean: np.ndarray = (luminance * structure).mean(axis=2)
    return mean


def _blur(values: np.ndarray) -> np.ndarray:
    import cv2

    blurred: np.ndarray = cv2.GaussianBlur(values, _WINDOW, _SIGMA, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(values.shape)


class TemplateSsim(TemplateDetector, ExportedPixels):
    """One minus the structural similarity (SSIM) to the best of several templates, at every pixel.

    ``difference(p) = 1 - max_t SSIM(x, t)(p)``, in [0, 2], with the SSIM of Wang, Bovik, Sheikh & Simoncelli, *Image
    quality assessment: from error visibility to structural similarity*, TIP 2004 (:func:`similarity`, which gives
    scikit-image's values to 1e-12). Every pixel takes its own best template, so that a part may look like one template
    here and like another there.

    It forgives a change of brightness or contrast that is the same over a window of a few pixels, and finds a change
    of structure; of images that are shifted by more than a pixel or two it finds every edge.

    The defaults were chosen on good ELPV mono cells of the training part into half of which cracks and stains were
    painted (image AUROC, mean over two splits): 0.964; with the map smoothed by 1 or 4 pixels 0.957, 0.963. Without
    ``standardize`` it is best smoothed by 4: 0.900; and then with 8 templates 0.887, without the blur of the images
    0.892, without ``normalize`` 0.842 (8 templates each).

    Parameters
    ----------
    input_size, map_sigma, top_fraction, batch_size
        See :class:`~pyimgano.models.pixel_detector.PixelDetector`.
    color : {"grey", "rgb"}
        The paper's SSIM is of grey images; of colour ones it is the mean over the channels.
    normalize : bool
        Bring every image to the mean 0.5 and the standard deviation 0.2 per channel, of values whose range is 1; else
        grey levels / 255 are compared.
    blur_sigma : float
        Standard deviation of a Gaussian blur of the images; forgives small shifts and noise.
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
        self.n_templates = n_templates
        self.map_sigma = map_sigma
        self.top_fraction = top_fraction
        self.standardize = standardize
        self.max_images = max_images
        self.seed = seed
        self.batch_size = batch_size

    def _values(self, image: np.ndarray) -> np.ndarray:
        values = super()._values(image)
        # SSIM's luminance is a ratio of means: these must be positive, and in units of a range.
        return _MEAN + _SPREAD * values if self.normalize else values

    def _describe(self, values: np.ndarray) -> LocalMoments:
        return LocalMoments.of(values)

    def _likeness(self, image: LocalMoments, template: LocalMoments) -> np.ndarray:
        return similarity(image, template)

    def _graph_compare(self) -> nn.Module:
        from pyimgano.models.graphs.blurring import Blur
        from pyimgano.models.graphs.templates import StructuralSimilarity

        return StructuralSimilarity(
            self._described,
            Blur(self._graph_size(), _blur),
            scale=_SPREAD if self.normalize else 1.0,
            offset=_MEAN if self.normalize else 0.0,
            luminance=_C1,
            contrast=_C2,
        )

    def _graph_usual(self) -> Optional[tuple[np.ndarray, np.ndarray]]:
        return (self.map_mean_, self.map_scale_) if self.standardize else None
