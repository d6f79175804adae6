"""Intermediate features of OpenCLIP's image towers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pyimgano.openclip.backbones import NORM

__all__ = ["tower_features"]


class TowerFeatures(nn.Module):
    """An image tower that gives the maps of some layers; it stops after the last of them.

    Parameters
    ----------
    visual : Module
        OpenCLIP's image tower.
    indices : sequence of int
        Of its blocks or stages, ascending.
    positions : sequence of int
        For each layer asked for, which of ``indices`` it is.
    normed : sequence of bool
        For each layer, whether the final norm follows.
    """

    def __init__(self, visual: Any, indices: Sequence[int], positions: Sequence[int], normed: Sequence[bool]) -> None:
        super().__init__()
        self.visual = visual
        self.indices = list(indices)
        self.positions = list(positions)
        self.normed = list(normed)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the layers' features, (N, C, h, w) each."""
        found = self.visual.forward_intermediates(x, indices=self.indices, stop_early=True, intermediates_only=True)
        maps = [found["image_intermediates"][position] for position in self.positions]
        return [self._norm(m) if normed else m for m, normed in zip(maps, self.normed)]

    def _norm(self, x: Tensor) -> Tensor:
        normed: Tensor = self.visual.ln_post(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return normed


def tower_features(visual: Any, names: Sequence[str], layers: Sequence[str]) -> TowerFeatures:
    """Return the module that maps normalised images (N, 3, H, W) to the layers' features.

    Parameters
    ----------
    visual : Module
        OpenCLIP's image tower.
    names : sequence of str
        All layers of the tower, in the order of the network.
    layers : sequence of str
        Those that are wanted.
    """
    # The stem of a ResNet of CLIP's is its first stage, and no layer.
    first = 1 if names[0] == "layer1" else 0
    blocks = [first + (names.index(name) - 1 if name == NORM else names.index(name)) for name in layers]
    indices = sorted(set(blocks))
    return TowerFeatures(visual, indices, [indices.index(b) for b in blocks], [name == NORM for name in layers])
