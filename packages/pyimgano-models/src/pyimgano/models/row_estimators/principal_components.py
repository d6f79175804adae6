"""What of a row the principal components of the good rows do not explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from pyimgano.models.feature_detector import RowEstimator
from pyimgano.models.feature_steps import PrincipalComponents

__all__ = ["ResidualRows"]


class ResidualRows(RowEstimator):
    """Squared distance to the subspace of the good rows' principal components (Jackson & Mudholkar, 1979: Q).

    Parameters
    ----------
    components : int or float
        How many span the subspace, or the share of the variance that they hold, in (0, 1).
    """

    steps = ("standardise",)

    def __init__(self, components: Union[int, float] = 0.95) -> None:
        self.components = components

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        PrincipalComponents(self.components)

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Find the subspace."""
        self._pca = PrincipalComponents(self.components)
        self._pca.fit(rows, (rows.shape[1],), seed)

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return the squared distances."""
        left = rows - self._pca.mean
        left = left - (left @ self._pca.matrix) @ self._pca.matrix.T
        squared: np.ndarray = np.einsum("nd,nd->n", left, left)
        return squared

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return mean and axes."""
        return self._pca.arrays(), {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._pca = PrincipalComponents(self.components)
        self._pca.restore(dict(arrays))
