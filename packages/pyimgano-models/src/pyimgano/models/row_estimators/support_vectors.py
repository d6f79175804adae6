"""One-class support vector machines: a boundary around the good rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.core.seeding import generator
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.feature_detector import RowEstimator

__all__ = ["OneClassRows", "SgdOneClassRows"]

KERNELS = ("rbf", "linear", "poly", "sigmoid")


def _check_gamma(gamma: Any) -> None:
    named = isinstance(gamma, str) and gamma in ("scale", "auto")
    require(named or (is_real(gamma) and gamma > 0.0), "gamma", gamma, '"scale", "auto", or a number above 0')


def _gamma(gamma: Union[str, float], rows: np.ndarray) -> float:
    if isinstance(gamma, str):
        variance = float(rows.var()) if gamma == "scale" else 1.0
        return 1.0 / (rows.shape[1] * variance) if variance > 0 else 1.0
    return float(gamma)


class OneClassRows(RowEstimator):
    """One-class SVM (Schölkopf, Platt, Shawe-Taylor, Smola & Williamson, 2001), fitted by scikit-learn (libsvm).

    Parameters
    ----------
    kernel : {"rbf", "linear", "poly", "sigmoid"}
    nu : float
        At most this share of the good rows is left outside, in (0, 1].
    gamma : "scale", "auto" or float
        Of the kernel: 1 / (features · variance), 1 / features, or the value.
    degree : int
        Of the polynomial.
    coef0 : float
        Constant of polynomial and sigmoid.
    """

    def __init__(
        self,
        kernel: str = "rbf",
        nu: float = 0.1,
        gamma: Union[str, float] = "scale",
        degree: int = 3,
        coef0: float = 0.0,
    ) -> None:
        self.kernel = kernel
        self.nu = nu
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        require(self.kernel in KERNELS, "kernel", self.kernel, ", ".join(KERNELS))
        require(is_real(self.nu) and 0.0 < self.nu <= 1.0, "nu", self.nu, "a share in (0, 1]")
        _check_gamma(self.gamma)
        require(is_whole(self.degree, 1), "degree", self.degree, "a whole number, at least 1")
        require(is_real(self.coef0), "coef0", self.coef0, "a number")

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Find the support vectors and their weights."""
        from sklearn.svm import OneClassSVM

        self._scale = _gamma(self.gamma, rows)
        machine = OneClassSVM(
            kernel=self.kernel, nu=self.nu, gamma=self._scale, degree=self.degree, coef0=self.coef0
        ).fit(rows)
        self._vectors = np.ascontiguousarray(machine.support_vectors_)
        self._weights = np.ascontiguousarray(machine.dual_coef_[0])
        self._offset = float(machine.intercept_[0])

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return how far outside of the boundary rows lie: the negative decision function."""
        scores: np.ndarray = -(self._kernel(rows) @ self._weights) - self._offset
        return scores

    def _kernel(self, rows: np.ndarray) -> np.ndarray:
        if self.kernel == "rbf":
            squared = np.stack([((self._vectors - row) ** 2).sum(axis=1) for row in rows])
            return np.exp(-self._scale * squared)
        product = rows @ self._vectors.T
        if self.kernel == "linear":
            return product
        inner = self._scale * product + self.coef0
        return inner**self.degree if self.kernel == "poly" else np.tanh(inner)

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return support vectors, weights, and offset."""
        return {"vectors": self._vectors, "weights": self._weights}, {"offset": self._offset, "gamma": self._scale}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._vectors, self._weights = arrays["vectors"], arrays["weights"]
        self._offset, self._scale = float(facts["offset"]), float(facts["gamma"])


class SgdOneClassRows(RowEstimator):
    """Linear one-class SVM by stochastic gradient descent on random Fourier features of the RBF kernel.

    For many rows, such as patches: the time grows linearly. The features are those of Rahimi & Recht (NIPS 2007):
    ``sqrt(2 / components) cos(rows · w + b)``, ``w`` drawn from a normal distribution of variance ``2 gamma``, ``b``
    from [0, 2π). The linear machine is scikit-learn's ``SGDOneClassSVM``.

    Parameters
    ----------
    nu : float
        At most this share of the good rows is left outside, in (0, 1].
    gamma : "scale", "auto" or float
        Of the kernel: 1 / (features · variance), 1 / features, or the value.
    components : int
        Random features; 0: none, the machine is linear in the features themselves.
    max_iter : int
        Passes over the rows.
    """

    def __init__(
        self, nu: float = 0.1, gamma: Union[str, float] = "scale", components: int = 512, max_iter: int = 1000
    ) -> None:
        self.nu = nu
        self.gamma = gamma
        self.components = components
        self.max_iter = max_iter

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        require(is_real(self.nu) and 0.0 < self.nu <= 1.0, "nu", self.nu, "a share in (0, 1]")
        _check_gamma(self.gamma)
        require(is_whole(self.components, 0), "components", self.components, "a whole number, at least 0")
        require(is_whole(self.max_iter, 1), "max_iter", self.max_iter, "a whole number, at least 1")

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Draw the features and learn the weights."""
        from sklearn.linear_model import SGDOneClassSVM

        rng = generator(seed, "fourier")
        gamma = _gamma(self.gamma, rows)
        self._waves = rng.normal(scale=np.sqrt(2.0 * gamma), size=(rows.shape[1], self.components))
        self._phases = rng.uniform(0.0, 2.0 * np.pi, self.components)
        machine = SGDOneClassSVM(nu=self.nu, max_iter=self.max_iter, tol=1e-4, random_state=seed)
        machine.fit(self._lifted(rows))
        self._weights = np.ascontiguousarray(machine.coef_).ravel()
        self._offset = float(np.ravel(machine.offset_)[0])

    def _lifted(self, rows: np.ndarray) -> np.ndarray:
        if self.components == 0:
            return rows
        lifted: np.ndarray = np.sqrt(2.0 / self.components) * np.cos(rows @ self._waves + self._phases)
        return lifted

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return how far outside of the boundary rows lie."""
        scores: np.ndarray = self._offset - self._lifted(rows) @ self._weights
        return scores

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return features, weights, and offset."""
        arrays = {"waves": self._waves, "phases": self._phases, "weights": self._weights}
        return arrays, {"offset": self._offset}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._waves, self._phases, self._weights = arrays["waves"], arrays["phases"], arrays["weights"]
        self._offset = float(facts["offset"])
