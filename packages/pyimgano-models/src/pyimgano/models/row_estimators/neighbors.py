"""Distances to the nearest good rows, and the local outlier factor that is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_whole
from pyimgano.models.feature_detector import RowEstimator
from pyimgano.models.neighbors import Neighbors

__all__ = ["LocalOutlierRows", "NearestRows"]

REDUCTIONS = ("mean", "largest", "median")


class NearestRows(RowEstimator):
    """Distance to the nearest good rows (Ramaswamy, Rastogi & Shim, 2000; the mean of them: Angiulli & Pizzuti, 2002).

    Parameters
    ----------
    n_neighbors : int
        How many; fewer where fewer rows were fitted on.
    reduction : {"mean", "largest", "median"}
        What is taken of their distances.
    """

    def __init__(self, n_neighbors: int = 5, reduction: str = "mean") -> None:
        self.n_neighbors = n_neighbors
        self.reduction = reduction

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        require(is_whole(self.n_neighbors, 1), "n_neighbors", self.n_neighbors, "a whole number, at least 1")
        require(self.reduction in REDUCTIONS, "reduction", self.reduction, ", ".join(REDUCTIONS))

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Keep the rows."""
        self._neighbors = Neighbors(rows.astype(np.float32))

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return the distances."""
        count = min(self.n_neighbors, len(self._neighbors))
        distances, _ = self._neighbors.query(rows.astype(np.float32), count)
        if self.reduction == "largest":
            return distances[:, -1]
        return distances.mean(axis=1) if self.reduction == "mean" else np.median(distances, axis=1)

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the rows."""
        return {"rows": self._neighbors.bank}, {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take the rows back."""
        self._neighbors = Neighbors(arrays["rows"])


class LocalOutlierRows(RowEstimator):
    """Local outlier factor of new rows (Breunig, Kriegel, Ng & Sander, SIGMOD 2000), as scikit-learn's with novelty.

    Parameters
    ----------
    n_neighbors : int
        How many; fewer where fewer rows were fitted on.
    """

    def __init__(self, n_neighbors: int = 20) -> None:
        self.n_neighbors = n_neighbors

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        require(is_whole(self.n_neighbors, 1), "n_neighbors", self.n_neighbors, "a whole number, at least 1")

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Learn the distances and densities of the rows (definitions 5 and 6 of the paper)."""
        if len(rows) < 2:
            raise ParameterError("a local outlier factor needs two rows", allowed="at least two good images")
        self._neighbors = Neighbors(rows.astype(np.float32))
        self._count = min(self.n_neighbors, len(rows) - 1)
        # A row is its own nearest neighbour, or one of its duplicates is: it is found among one more, and taken out.
        distances, nearest = self._neighbors.query(self._neighbors.bank, self._count + 1)
        others = nearest != np.arange(len(rows))[:, None]
        others[others.all(axis=1), -1] = False
        distances = distances[others].reshape(len(rows), self._count)
        nearest = nearest[others].reshape(len(rows), self._count)
        self._reach = distances[:, -1]
        self._density = self._densities(distances, nearest)

    def _densities(self, distances: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        reachable = np.maximum(distances, self._reach[nearest])
        densities: np.ndarray = 1.0 / (reachable.mean(axis=1) + 1e-10)  # duplicates have none: as in scikit-learn
        return densities

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return the factors (definition 7)."""
        distances, nearest = self._neighbors.query(rows.astype(np.float32), self._count)
        factors: np.ndarray = (self._density[nearest] / self._densities(distances, nearest)[:, None]).mean(axis=1)
        return factors

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return rows, distances and densities."""
        return {"rows": self._neighbors.bank, "reach": self._reach, "density": self._density}, {"count": self._count}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._neighbors = Neighbors(arrays["rows"])
        self._reach, self._density, self._count = arrays["reach"], arrays["density"], int(facts["count"])
