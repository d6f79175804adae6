"""The equations of WinCLIP on embeddings: windows, scores against words and references, and their aggregation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

__all__ = ["association", "defect_probability", "harmonic_map", "harmonic_mean", "windows"]


def windows(grid: tuple[int, int], side: int) -> Tensor:
    """Return the patches that each window covers: (n_windows, side²) int64 indices into the flattened grid.

    Windows of ``side`` × ``side`` patches at every position, row by row; a window that is larger than the grid in one
    direction covers all of that direction.
    """
    rows, columns = min(side, grid[0]), min(side, grid[1])
    index = torch.arange(grid[0] * grid[1]).view(grid)
    return index.unfold(0, rows, 1).unfold(1, columns, 1).reshape(-1, rows * columns)


def defect_probability(embeddings: Tensor, texts: Tensor, temperature: float) -> Tensor:
    """Return how much more embeddings resemble the words for defective than for good parts, equation 1 of the paper.

    Parameters
    ----------
    embeddings : Tensor, (N, D)
    texts : Tensor, (2, D)
        Mean embedding of the words for good and for defective parts.
    temperature : float

    Returns
    -------
    Tensor, (N,)
        In (0, 1).
    """
    similarity = normalize(embeddings, dim=-1) @ normalize(texts, dim=-1).T
    return (similarity / temperature).softmax(dim=-1)[:, 1]


def association(embeddings: Tensor, references: Tensor) -> Tensor:
    """Return half the cosine distance of each embedding to the nearest reference, equation 4 of the paper.

    Parameters
    ----------
    embeddings : Tensor, (N, D)
    references : Tensor, (M, D)
        Rows of length 1.

    Returns
    -------
    Tensor, (N,)
        In [0, 1].
    """
    nearest = (normalize(embeddings, dim=-1) @ references.T).amax(dim=-1)
    return ((1.0 - nearest) / 2.0).clamp(0.0, 1.0)


def harmonic_map(scores: Tensor, covered: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return for each patch the harmonic mean of the windows that cover it, equation 3 of the paper.

    Parameters
    ----------
    scores : Tensor, (n_windows,)
        At least 0.
    covered : Tensor, (n_windows, side²) int64
        See :func:`windows`.
    grid : (int, int)

    Returns
    -------
    Tensor, (h, w)
        0 where a window scores 0.
    """
    inverse = (1.0 / scores)[:, None].expand(covered.shape).reshape(-1)
    total = torch.zeros(grid[0] * grid[1], dtype=scores.dtype, device=scores.device)
    count = torch.zeros_like(total)
    total.index_add_(0, covered.reshape(-1), inverse)
    count.index_add_(0, covered.reshape(-1), torch.ones_like(inverse))
    return (count / total).view(grid)


def harmonic_mean(maps: Sequence[Tensor]) -> Tensor:
    """Return the harmonic mean of maps of one shape, at each place; 0 where one is 0."""
    stacked = torch.stack(list(maps))
    return len(stacked) / (1.0 / stacked).sum(dim=0)
