"""What scikit-learn calls ``X``, as a sequence of images: lists, arrays, and tables whose rows are images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np

__all__ = ["find_images", "rows_as_images"]

_SHAPES = '(H, W), (H, W, 1), (H, W, 3), (H, W, 4) or "line"'


def find_images(X: Any, image_shape: Union[Sequence[int], str, None]) -> tuple[Any, Optional[int]]:
    """Return the images that ``X`` holds, and its number of columns where it is a table.

    Parameters
    ----------
    X : sequence of path-like or ndarray, ndarray, or table
        Paths (also as an array or a column of a data frame), images of any sizes, an array (N, H, W) or (N, H, W, C),
        or anything that :func:`sklearn.utils.check_array` takes for a finite numeric table.
    image_shape : (int, int), (int, int, int), "line" or None
        What a row of a table is.

    Raises
    ------
    ValueError, TypeError
        When it is none of these; of tables with scikit-learn's messages.
    """
    from sklearn.utils import check_array

    if isinstance(X, (str, bytes, os.PathLike)):
        raise ValueError(f"X is a single path, {os.fspath(X)!r}: give a list of paths")
    if hasattr(X, "to_numpy") and getattr(X, "ndim", 2) == 1:
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        if X.ndim in (3, 4):
            return X, None
        if X.ndim == 1 and X.dtype.kind in "OU":
            X = X.tolist()
    if isinstance(X, Sequence) and len(X) > 0 and _is_image(X[0]):
        return X, None
    table: np.ndarray = check_array(X)
    return rows_as_images(table, image_shape), table.shape[1]


def _is_image(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike)) or (isinstance(item, np.ndarray) and item.ndim in (2, 3))


def rows_as_images(table: np.ndarray, image_shape: Union[Sequence[int], str, None]) -> np.ndarray:
    """Return a table (N, F) as images (N, H, W) or (N, H, W, C).

    Raises
    ------
    ValueError
        When its rows do not have that shape, or it is not given.
    """
    columns = table.shape[1]
    if image_shape is None:
        raise ValueError(
            f"X is a table of {columns} columns: give image_shape, one of {_SHAPES}, e.g. image_shape=(28, 28)"
        )
    if image_shape == "line":
        return table[:, None, :]
    sides = () if isinstance(image_shape, str) else tuple(image_shape)
    whole = all(isinstance(side, (int, np.integer)) and side >= 1 for side in sides)
    if not whole or len(sides) not in (2, 3) or (len(sides) == 3 and sides[2] not in (1, 3, 4)):
        raise ValueError(f"image_shape = {image_shape!r}; allowed: {_SHAPES}")
    if int(np.prod(sides)) != columns:
        raise ValueError(f"X has {columns} columns, image_shape = {sides} needs {int(np.prod(sides))}")
    return table.reshape(len(table), *sides)
