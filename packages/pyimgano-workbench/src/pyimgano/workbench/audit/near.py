"""Near-duplicates by signature, exactly those above a likeness, without comparing all pairs in full.

All images of one part look alike. What tells two of them apart is what is left when the mean of their category is taken
off; the cosine between these residuals is their *likeness*: 1 for copies, and for different images what they share by
chance. The search among them loses no pair:

1. the unit residuals are projected onto their first principal components. A projection shortens distances, so two that
   are near stay near (a cosine of at least t is a distance of at most √(2 − 2t));
2. sorted along the first component, an image is compared with those within that distance along it only;
3. pairs that are near in the projection are compared in full.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyimgano.workbench.audit.unions import Unions

if TYPE_CHECKING:
    import numpy as np

__all__ = ["join_alike", "likeness_to"]

COMPONENTS = 32
FLAT = 0.01
"""Length of a residual below which an image is the mean of its category, but for noise."""
ROWS, COLUMNS, PAIRS = 1024, 8192, 16384
"""Images of a block, images that a block is compared with at a time, pairs that are compared in full at a time."""


def join_alike(signatures: np.ndarray, mean: np.ndarray, likeness: float) -> Unions:
    """Return the sets that images form by their likeness.

    Parameters
    ----------
    signatures : ndarray, (N, D)
        Those of one category, each of length 1 (see :func:`pyimgano.workbench.audit.signatures.signature`).
    mean : ndarray, (D,)
        Of the category's signatures.
    likeness : float
        Least cosine of two residuals, in (0, 1), that links two images. A set is held together by such links; its ends
        may be less alike. Images that are the mean of their category but for noise are linked to each other, too.

    Returns
    -------
    Unions
        Over the N rows.
    """
    import numpy as np

    unions = Unions(len(signatures))
    if len(signatures) < 2:
        return unions
    units, lengths = _residuals(signatures, mean)
    flat = np.flatnonzero(lengths <= FLAT)
    for one, other in zip(flat[:-1], flat[1:]):
        unions.join(int(one), int(other))
    rows = np.flatnonzero(lengths > FLAT)
    if len(rows) > 1:
        _search(units[rows], rows, likeness, unions)
    return unions


def likeness_to(signatures: np.ndarray, reference: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the likeness of some images of a category to one of them: (N,) float64 in [−1, 1].

    Parameters
    ----------
    signatures : ndarray, (N, D)
        Of the images. Those that are the mean of their category but for noise have the likeness 1 to each other.
    reference, mean : ndarray, (D,)
        Signature of the one, and mean of the category.
    """
    import numpy as np

    residuals = signatures.astype(np.float64) - mean
    own = reference.astype(np.float64) - mean
    lengths, length = np.linalg.norm(residuals, axis=1), float(np.linalg.norm(own))
    cosines = residuals @ own / np.maximum(lengths * length, 1e-12)
    return np.asarray(np.where((lengths <= FLAT) & (length <= FLAT), 1.0, np.clip(cosines, -1.0, 1.0)))


def _residuals(signatures: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit residuals, (N, D) float16, and their lengths before, (N,) float32."""
    import numpy as np

    units = np.empty_like(signatures, dtype=np.float16)
    lengths = np.empty(len(signatures), dtype=np.float32)
    for start in range(0, len(signatures), COLUMNS):
        part = slice(start, start + COLUMNS)
        residual = signatures[part].astype(np.float32) - mean.astype(np.float32)
        lengths[part] = np.linalg.norm(residual, axis=1)
        units[part] = residual / np.maximum(lengths[part], 1e-6)[:, None]
    return units, lengths


def _project(units: np.ndarray) -> np.ndarray:
    """Return the (N, K) float32 coordinates along the first principal components, the first one first."""
    import numpy as np

    moments = np.zeros((units.shape[1], units.shape[1]), dtype=np.float64)
    for start in range(0, len(units), COLUMNS):
        block = units[start : start + COLUMNS].astype(np.float32)
        moments += block.T @ block
    _, vectors = np.linalg.eigh(moments)
    basis = vectors[:, ::-1][:, :COMPONENTS].astype(np.float32)
    blocks = [units[s : s + COLUMNS].astype(np.float32) @ basis for s in range(0, len(units), COLUMNS)]
    return np.concatenate(blocks)


def _search(units: np.ndarray, rows: np.ndarray, likeness: float, unions: Unions) -> None:
    import numpy as np

    # float16 rounds a coordinate by 5e-4 of itself, a cosine by at most 1e-3: the filters are that much wider.
    squared = 2.0 - 2.0 * likeness + 4e-3
    reach = math.sqrt(squared)
    points = _project(units)
    order = np.argsort(points[:, 0], kind="stable")
    points, along = points[order], points[order, 0]
    norms = np.einsum("nk,nk->n", points, points)
    for start in range(0, len(order), ROWS):
        stop = min(start + ROWS, len(order))
        last = int(np.searchsorted(along, along[stop - 1] + reach, side="right"))
        for left in range(start, last, COLUMNS):
            right = min(left + COLUMNS, last)
            apart = points[start:stop] @ (-2.0 * points[left:right].T)
            apart += norms[start:stop, None] + norms[None, left:right]
            one, other = np.nonzero(apart <= squared)
            one, other = one + start, other + left
            later = other > one
            _link(units, rows, order[one[later]], order[other[later]], likeness, unions)


def _link(
    units: np.ndarray, rows: np.ndarray, one: np.ndarray, other: np.ndarray, likeness: float, unions: Unions
) -> None:
    """Compare candidate pairs in full, and join those that are alike; of many, only those not joined already."""
    import numpy as np

    while len(one):
        if len(one) > PAIRS:
            labels = np.array(unions.roots())[rows]
            apart = labels[one] != labels[other]
            one, other = one[apart], other[apart]
        a, b = one[:PAIRS], other[:PAIRS]
        cosines = np.einsum("nd,nd->n", units[a].astype(np.float32), units[b].astype(np.float32))
        for i, j in zip(a[cosines >= likeness], b[cosines >= likeness]):
            unions.join(int(rows[i]), int(rows[j]))
        one, other = one[PAIRS:], other[PAIRS:]
