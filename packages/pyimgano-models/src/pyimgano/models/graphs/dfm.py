"""DFM in a graph."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.graphs.maps import RenderedMap

__all__ = ["DfmGraph"]


class DfmGraph(nn.Module):
    """What :class:`~pyimgano.models.dfm.Dfm` makes of a layer's features.

    Parameters
    ----------
    mean : ndarray, (D,) float64
    components : ndarray, (K, D) float64
    variances : ndarray, (K,) float64
    pooling : int
    renderer : RenderedMap, optional
        With it the score is the reconstruction error, and there are maps; without it the negative log-likelihood.
    """

    mean: Tensor
    rest: Tensor
    components: Tensor

    def __init__(
        self,
        mean: np.ndarray,
        components: np.ndarray,
        variances: np.ndarray,
        *,
        pooling: int,
        renderer: Optional[RenderedMap] = None,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.renderer = renderer
        leading = mean.astype(np.float32)
        self.register_buffer("mean", torch.from_numpy(leading))
        self.register_buffer("rest", torch.from_numpy((mean - leading).astype(np.float32)))
        self.constant = float(np.log(variances).sum())
        directions = components if renderer is not None else components / np.sqrt(variances)[:, None]
        self.register_buffer("components", torch.from_numpy(directions.astype(np.float32)))

    def forward(self, layers: list[Tensor]) -> Any:
        """Return (1,), and (1, height, width) with a renderer."""
        pooled = functional.avg_pool2d(layers[0], self.pooling)
        offset = pooled.reshape(1, -1) - self.mean - self.rest
        within = torch.matmul(offset, self.components.T)
        if self.renderer is None:
            return within.square().sum(dim=1) + self.constant
        errors = (offset - torch.matmul(within, self.components)).square().reshape(pooled.shape).sum(dim=1)
        return errors.sum(dim=(1, 2)), self.renderer(errors)
