"""SPADE in a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.models.graphs.maps import RenderedMap
from pyimgano.models.graphs.patches import LocallyAwarePatches, as_rows

__all__ = ["SpadeGraph"]


class SpadeGraph(nn.Module):
    """What :class:`~pyimgano.models.spade.Spade` makes of a backbone's features.

    The images retrieved are taken one after the other: of each, a product with the image's positions finds candidates,
    whose distances are computed directly; the nearest of all are kept.

    Parameters
    ----------
    pooled : ndarray, (N, D) float32
    pyramid : mapping of str to ndarray
        Layer → (N, C, h, w) float32, of the good images.
    layers : sequence of str
        In the order that the backbone gives them in.
    retrieval : str
        The layer whose mean retrieves images.
    n_images, n_patches : int
    renderer : RenderedMap
    """

    pooled: Tensor

    def __init__(
        self,
        pooled: np.ndarray,
        pyramid: Mapping[str, np.ndarray],
        *,
        layers: Sequence[str],
        retrieval: str,
        n_images: int,
        n_patches: int,
        renderer: RenderedMap,
    ) -> None:
        super().__init__()
        self.retrieval = list(layers).index(retrieval)
        self.chosen = [list(layers).index(name) for name in pyramid]
        self.n_images = n_images
        self.n_patches = n_patches
        self.patches = LocallyAwarePatches(1)
        self.renderer = renderer
        self.register_buffer("pooled", torch.from_numpy(pooled))
        for index, kept in enumerate(pyramid.values()):
            # About the mean, the products' rounding errors are smallest. Interpolation keeps differences.
            origin = kept.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)[:, None, None]
            self.register_buffer(f"origin{index}", torch.from_numpy(origin))
            self.register_buffer(f"layer{index}", torch.from_numpy(kept - origin))

    def forward(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (1,) and (1, height, width)."""
        pooled = layers[self.retrieval].mean(dim=(2, 3))
        distances, images = (self.pooled - pooled).square().sum(dim=1).topk(self.n_images, largest=False)
        grid = self.patches([layers[c] - getattr(self, f"origin{i}") for i, c in enumerate(self.chosen)])
        vectors = as_rows(grid)
        best = torch.cat([self._nearest(vectors, images[k : k + 1]) for k in range(self.n_images)], dim=1)
        one = self.n_patches == 1
        scores = best.amin(dim=1) if one else best.topk(self.n_patches, dim=1, largest=False)[0].mean(dim=1)
        return distances.mean(dim=0, keepdim=True), self.renderer(scores)

    def _nearest(self, vectors: Tensor, image: Tensor) -> Tensor:
        """Return (P, k): the squared distances to the nearest positions of an image, ``image`` being (1,) int64."""
        features = self.patches([getattr(self, f"layer{i}").index_select(0, image) for i in range(len(self.chosen))])
        count, dimension = vectors.shape
        features = features.reshape(dimension, count)
        # Their squared distances less the query's square.
        products = features.square().sum(dim=0) - torch.matmul(vectors * 2.0, features)
        if self.n_patches == 1:
            columns = products.argmin(dim=1, keepdim=True)
        else:
            columns = products.topk(min(self.n_patches, count), dim=1, largest=False)[1]
        found = features.T.index_select(0, columns.reshape(-1)).reshape(count, -1, dimension)
        return (vectors[:, None] - found).square().sum(dim=2)
