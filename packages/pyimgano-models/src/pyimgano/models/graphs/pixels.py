"""What detectors of pixels compare, and how they score maps, in a graph: as :mod:`pyimgano.models.pixel_detector`.

In float64: these graphs are small, and differences of nearly equal moments are what they are made of.
"""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.blurring import Blur

__all__ = ["GaussianDistance", "PixelGraph", "PixelValues"]

_GREY = (9798.0, 19235.0, 3735.0)
"""Red, green and blue in OpenCV's grey, in 1/32768."""


class PixelValues(nn.Module):
    """From pixels (1, h, w, 3) uint8 to the values that are compared: (C, h, w) float64.

    Parameters
    ----------
    grey, normalize : bool
    blur : Blur, optional
    """

    weights: Tensor

    def __init__(self, *, grey: bool, normalize: bool, blur: Optional[Blur]) -> None:
        super().__init__()
        self.grey = grey
        self.normalize = normalize
        self.blur = blur
        self.register_buffer("weights", torch.tensor(_GREY, dtype=torch.float64).reshape(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the values."""
        values = pixels[0].permute(2, 0, 1).to(torch.float64)
        if self.grey:
            # As OpenCV does it: in whole numbers, rounded.
            values = (((values * self.weights).sum(dim=0, keepdim=True) + 16384.0) / 32768.0).floor()
        if self.normalize:
            values = values - values.mean(dim=(1, 2), keepdim=True)
            values = values / values.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp_min(1.0)
        else:
            values = values / 255.0
        return values if self.blur is None else self.blur(values)


class PixelGraph(nn.Module):
    """From pixels to the score and the map.

    Parameters
    ----------
    values : PixelValues
    compare : Module
        From values, (C, h, w), to differences, (h, w).
    blur : Blur, optional
        Of the map.
    usual : (ndarray, ndarray), optional
        The mean and the scale of the differences of good images: see
        :class:`~pyimgano.models.reference_detector.ReferenceDetector`.
    highest : int
        Values of the map that the score is the mean of.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        values: PixelValues,
        compare: nn.Module,
        *,
        blur: Optional[Blur],
        usual: Optional[tuple[np.ndarray, np.ndarray]] = None,
        highest: int,
    ) -> None:
        super().__init__()
        self.values = values
        self.compare = compare
        self.blur = blur
        self.highest = highest
        self.standardized = usual is not None
        if usual is not None:
            self.register_buffer("mean", torch.from_numpy(usual[0].astype(np.float64)))
            self.register_buffer("scale", torch.from_numpy(usual[1].astype(np.float64)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (1,) and (1, h, w) float32."""
        map_ = self.compare(self.values(pixels))
        if self.blur is not None:
            map_ = self.blur(map_)
        if self.standardized:
            map_ = (map_ - self.mean) / self.scale
        map_ = map_.to(torch.float32)
        flat = map_.flatten()
        if self.highest > 1:
            score = flat.topk(self.highest)[0].mean(dim=0, keepdim=True)
        else:
            score = flat.amax(dim=0, keepdim=True)
        return score, map_[None]


class GaussianDistance(nn.Module):
    """Distance from a centre in standard deviations, root mean square over the channels: (C, h, w) to (h, w).

    Parameters
    ----------
    centre, variance : ndarray, (h, w, C)
    """

    centre: Tensor
    variance: Tensor

    def __init__(self, centre: np.ndarray, variance: np.ndarray) -> None:
        super().__init__()
        for name, array in (("centre", centre), ("variance", variance)):
            channels_first = np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float64)
            self.register_buffer(name, torch.from_numpy(channels_first))

    def forward(self, values: Tensor) -> Tensor:
        """Return the distances."""
        return ((values - self.centre).square() / self.variance).mean(dim=0).sqrt()
