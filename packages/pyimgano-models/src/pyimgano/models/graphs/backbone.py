"""A backbone and what a detector makes of its features, as one module."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pyimgano.models.networks import PixelNetwork

__all__ = ["BackboneGraph"]


class BackboneGraph(nn.Module):
    """From pixels to a score, and a map where the model has one.

    Parameters
    ----------
    backbone : PixelNetwork
    head : Module
        Takes the list of the layers' features, (1, C, h, w) each; returns ``(score, map)`` or the score.
    """

    def __init__(self, backbone: PixelNetwork, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pixels: Tensor) -> Any:
        """Return what the head makes of an image, (1, H, W, 3) uint8."""
        return self.head(list(self.backbone(pixels)))
