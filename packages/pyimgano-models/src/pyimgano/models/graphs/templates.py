"""Likeness to templates, window by window, in a graph: as ``template-ssim`` and ``template-ncc``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.blurring import Blur

__all__ = ["LocalCorrelation", "StructuralSimilarity"]


class _Templates(nn.Module):
    """Templates, and their mean and variance around every pixel: (k, C, h, w) float64 each."""

    templates: Tensor
    means: Tensor
    variances: Tensor

    def __init__(self, described: Sequence[Sequence[np.ndarray]], window: Blur) -> None:
        super().__init__()
        self.window = window
        for name, arrays in zip(("templates", "means", "variances"), zip(*described)):
            stack = np.stack([array.reshape(*array.shape[:2], -1).transpose(2, 0, 1) for array in arrays])
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(stack, dtype=np.float64)))

    def _moments(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and variance of an image around every pixel, (C, h, w), and the covariances, (k, C, h, w)."""
        mean = self.window(values)
        variance = self.window(values.square()) - mean.square()
        return mean, variance, self.window(values * self.templates) - mean * self.means


class StructuralSimilarity(_Templates):
    """One minus the structural similarity to the best template; see :mod:`pyimgano.models.template_ssim`.

    (C, h, w) to (h, w).

    Parameters
    ----------
    described : sequence of LocalMoments
        Of the templates.
    window : Blur
    scale, offset : float
        What brings values to the range that the constants are for: ``offset + scale * values``.
    luminance, contrast : float
        The constants C1 and C2.
    """

    def __init__(
        self,
        described: Sequence[Sequence[np.ndarray]],
        window: Blur,
        *,
        scale: float,
        offset: float,
        luminance: float,
        contrast: float,
    ) -> None:
        super().__init__(described, window)
        self.scale = scale
        self.offset = offset
        self.luminance = luminance
        self.contrast = contrast

    def forward(self, values: Tensor) -> Tensor:
        """Return the differences."""
        mean, variance, covariance = self._moments(self.offset + self.scale * values)
        light = (2.0 * mean * self.means + self.luminance) / (mean.square() + self.means.square() + self.luminance)
        structure = (2.0 * covariance + self.contrast) / (variance + self.variances + self.contrast)
        return 1.0 - (light * structure).mean(dim=1).amax(dim=0)


class LocalCorrelation(_Templates):
    """One minus the normalised cross-correlation with the best template; see :mod:`pyimgano.models.template_ncc`.

    (C, h, w) to (h, w).

    Parameters
    ----------
    described : sequence of Windows
        Of the templates.
    window : Blur
    epsilon : float
    """

    def __init__(self, described: Sequence[Sequence[np.ndarray]], window: Blur, *, epsilon: float) -> None:
        super().__init__(described, window)
        self.epsilon = epsilon

    def forward(self, values: Tensor) -> Tensor:
        """Return the differences."""
        _, variance, covariance = self._moments(values)
        total = variance.sum(dim=0).clamp_min(0.0)
        spread = ((total + self.epsilon) * (self.variances.sum(dim=1) + self.epsilon)).sqrt()
        return 1.0 - ((covariance.sum(dim=1) + self.epsilon) / spread).clamp(-1.0, 1.0).amax(dim=0)
