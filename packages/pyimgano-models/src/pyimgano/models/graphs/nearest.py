"""Nearest neighbours in a graph: a product finds candidates, and their distances are computed directly.

The counterpart of :mod:`pyimgano.models.neighbors`, in float32 and with a bounded number of candidates: where several
rows of the bank are equally far to a part in a million, it may take another of them, at a distance that differs by as
little.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["NearestRows"]

_BLOCK = 56
"""Products of which the smallest is taken at once."""
_TILE = 4096
"""Bank rows per product, at most."""
_TILES = 4
"""Tiles of a bank, at least, when it has as many blocks."""
_CANDIDATES = 2
"""Tiles whose nearest row is looked at again."""


class NearestRows(nn.Module):
    """The nearest row of a bank, for each of the queries.

    Input: (n, D) float32. Output: the squared distances, (n,) float32, and which rows of :attr:`rows` they are to,
    (n,) int64.

    The bank is kept once, as rows ``[-2 c, |c|²]`` about the origin of all: a query ``[x, 1]`` times such a row is
    their squared distance less ``|x|²``, and no more passes over the products of all pairs are needed than the one that
    seeks the smallest. The bank is cut into tiles, so that the products stay small. A tile has every n-th row: rows
    that resemble each other are often neighbours in a bank, and only one of a tile is a candidate. The nearest rows of
    the two best tiles are compared by ``sum((x - c)²)``.

    Parameters
    ----------
    bank : ndarray, (M, D) float32

    Attributes
    ----------
    rows : ndarray, (m,) int64
        Which row of ``bank`` each row of the graph is. Of equal rows of the bank there is the first only; some are
        repeated, to fill the last tile.
    places : ndarray, (M,) int64
        At which row of the graph each row of ``bank`` is.
    """

    bank: Tensor
    origin: Tensor

    def __init__(self, bank: np.ndarray) -> None:
        super().__init__()
        _, first, inverse = np.unique(bank, axis=0, return_index=True, return_inverse=True)
        kept = np.sort(first)
        self.places = np.searchsorted(kept, first[inverse.reshape(-1)])
        blocks = -(-len(kept) // _BLOCK)
        self.tiles = max(_CANDIDATES, min(_TILES, blocks), -(-len(kept) // _TILE))
        self.blocks = -(-blocks // self.tiles)
        self.rows = np.resize(kept, self.tiles * self.blocks * _BLOCK).astype(np.int64)
        origin = bank[kept].mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = bank[self.rows] - origin
        norms = np.einsum("nd,nd->n", centred, centred, dtype=np.float64).astype(np.float32)
        self.register_buffer("origin", torch.from_numpy(origin))
        self.register_buffer("bank", torch.from_numpy(np.concatenate([-2.0 * centred, norms[:, None]], axis=1)))

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared distances and the rows."""
        vectors = vectors - self.origin
        count, dimension = (int(side) for side in vectors.shape)
        queries = torch.cat([vectors, torch.ones(count, 1)], dim=1)
        first = torch.arange(count) * self.blocks
        blocks, inside = [], []
        for tile in range(self.tiles):
            products = torch.matmul(queries, self.bank[tile :: self.tiles].T).reshape(-1, _BLOCK)
            block = products.amin(dim=1).reshape(count, self.blocks).argmin(dim=1)
            blocks.append(block)
            inside.append(products.index_select(0, first + block))
        # The best block of each tile, and the best row in it.
        least, within = torch.stack(inside, dim=1).min(dim=2)
        nearest = (torch.stack(blocks, dim=1) * _BLOCK + within) * self.tiles + torch.arange(self.tiles)
        _, best = least.topk(_CANDIDATES, dim=1, largest=False)
        candidates = nearest.gather(1, best)
        found = self._centred(candidates.reshape(-1)).reshape(count, _CANDIDATES, dimension)
        squared, choice = (vectors[:, None] - found).square().sum(dim=2).min(dim=1, keepdim=True)
        return squared.reshape(count), candidates.gather(1, choice).reshape(count)

    def distances(self, vector: Tensor, rows: Tensor) -> Tensor:
        """Return the distances of one query, (1, D), to some rows of the graph, (k,) int64: (k,) float32."""
        return (vector - self.origin - self._centred(rows)).square().sum(dim=1).sqrt()

    def _centred(self, rows: Tensor) -> Tensor:
        return self.bank.index_select(0, rows)[:, :-1] * -0.5
