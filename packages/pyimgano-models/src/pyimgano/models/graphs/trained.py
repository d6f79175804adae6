"""A trained network and what becomes of its outputs, as one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from torch import Tensor, nn

from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["TrainedGraph"]


class TrainedGraph(nn.Module):
    """From pixels to scores and maps.

    Parameters
    ----------
    network : TrainedNetwork
        On the CPU, in scoring mode.
    finish : callable
        From what the network's ``forward`` returns to the scores, (N,), and the maps, (N, height, width).
    """

    def __init__(self, network: TrainedNetwork, finish: Callable[[Sequence[Tensor]], tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.network = network
        self.finish = finish

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and maps of images, (N, H, W, 3) uint8."""
        return self.finish(self.network(pixels))
