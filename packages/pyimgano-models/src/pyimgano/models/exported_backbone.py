"""Detectors on backbone features that can be exported whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pyimgano.models.backbone_detector import BackboneDetector
from pyimgano.models.graph_export import GraphExport

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ExportedBackbone"]


class ExportedBackbone(BackboneDetector, GraphExport, ABC):
    """Base of detectors whose graph is the backbone and what they make of its features; a subclass gives the latter.

    The backbone is the one that the detector uses, adapted or not, with the batch normalisation folded into the
    convolutions where the extractor does so.
    """

    @abstractmethod
    def _graph_head(self) -> nn.Module:
        """Return the module that takes the list of the layers' features and returns ``(score, map)`` or the score."""

    def _graph_network(self) -> nn.Module:
        from pyimgano.models.features import torch_network

        backbone = torch_network(self.extractor, weights=self.weights, adapted=self._adapted)
        from pyimgano.models.graphs.backbone import BackboneGraph

        return BackboneGraph(backbone, self._graph_head()).eval()

    def _graph_size(self) -> tuple[int, int]:
        return self.extractor.input_size

    def _graph_grid(self) -> tuple[int, int]:
        """Return (h, w) of the patches: the grid of the finest layer, found by looking at an image."""
        import numpy as np

        maps = self.extractor.extract([np.zeros((*self.extractor.input_size, 3), dtype=np.uint8)])
        height, width = max((layer.shape[2:] for layer in maps.values()), key=lambda shape: shape[0] * shape[1])
        return int(height), int(width)
