"""Detectors of pixels that can be exported whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Optional

import numpy as np

from pyimgano.models.graph_export import GraphExport
from pyimgano.models.pixel_detector import PixelDetector, smooth
from pyimgano.models.resizing import check_size

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.models.graphs.blurring import Blur

__all__ = ["ExportedPixels"]


class ExportedPixels(PixelDetector, GraphExport, ABC):
    """Base of detectors of pixels whose comparison can be written as a graph; a subclass gives that comparison.

    They fit and score without a deep learning library; torch is needed to write the graph, not to run it.
    """

    @abstractmethod
    def _graph_compare(self) -> nn.Module:
        """Return the module that makes differences, (h, w), of values, (C, h, w) float64."""

    def _graph_usual(self) -> Optional[tuple[np.ndarray, np.ndarray]]:
        """Return the mean and the scale by which differences are standardised; None where they are not."""
        return None

    def _graph_size(self) -> tuple[int, int]:
        return check_size(self.input_size, minimum=8)

    def _graph_blur(self, sigma: float) -> Optional[Blur]:
        from pyimgano.models.graphs.blurring import Blur

        return Blur(self._graph_size(), lambda column: smooth(column, sigma)) if sigma > 0.0 else None

    def _graph_network(self) -> nn.Module:
        from pyimgano.models.graphs.pixels import PixelGraph, PixelValues

        height, width = self._graph_size()
        blur = self._graph_blur(self.blur_sigma)
        return PixelGraph(
            PixelValues(grey=self.color == "grey", normalize=self.normalize, blur=blur),
            self._graph_compare(),
            blur=self._graph_blur(self.map_sigma),
            usual=self._graph_usual(),
            highest=self._highest(height * width),
        ).eval()
