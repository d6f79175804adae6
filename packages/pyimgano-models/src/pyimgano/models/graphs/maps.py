"""Maps in a graph: from a grid of patch scores to image size, as :mod:`pyimgano.models.anomaly_map`."""

from __future__ import annotations

from torch import Tensor, nn

from pyimgano.models.torch_maps import render

__all__ = ["RenderedMap"]


class RenderedMap(nn.Module):
    """Interpolation and smoothing as two products with constant matrices: (h w,) patch scores to (1, height, width).

    Parameters
    ----------
    grid, size : (int, int)
        Of the patch scores and of the map.
    sigma : float
    interpolation : str
        See :func:`pyimgano.models.anomaly_map.render_maps`.
    """

    def __init__(
        self, grid: tuple[int, int], size: tuple[int, int], *, sigma: float, interpolation: str = "bilinear"
    ) -> None:
        super().__init__()
        self.grid, self.size, self.sigma, self.interpolation = grid, size, sigma, interpolation

    def forward(self, scores: Tensor) -> Tensor:
        """Return the map."""
        grid = scores.reshape(1, *self.grid)
        return render(grid, self.size, sigma=self.sigma, interpolation=self.interpolation)
