"""How likely a row is: a Gaussian, a mixture of them, a kernel density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.feature_detector import RowEstimator

__all__ = ["EllipticRows", "GaussianRows", "KernelDensityRows", "MixtureRows"]

COVARIANCES = ("ledoit-wolf", "oas", "mcd", "empirical")
TYPES = ("full", "tied", "diag", "spherical")


class GaussianRows(RowEstimator):
    """Mahalanobis distance to one Gaussian of the good rows.

    Parameters
    ----------
    covariance : {"ledoit-wolf", "oas", "mcd", "empirical"}
        How the covariance is estimated: shrunk (Ledoit & Wolf, 2004; Chen et al., 2010), robust (the minimum covariance
        determinant of Rousseeuw & Van Driessen, 1999, which is scikit-learn's ``EllipticEnvelope``; it needs several
        times more rows than features), or as it is, with a pseudo-inverse.
    support_fraction : float, optional
        Of the minimum covariance determinant: the share of the rows that are taken for good.
    """

    def __init__(self, covariance: str = "ledoit-wolf", support_fraction: Optional[float] = None) -> None:
        self.covariance = covariance
        self.support_fraction = support_fraction

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        require(self.covariance in COVARIANCES, "covariance", self.covariance, ", ".join(COVARIANCES))
        share = self.support_fraction
        good = share is None or (is_real(share) and 0.5 <= share <= 1.0)
        require(good, "support_fraction", share, "null, or a share in [0.5, 1]")

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Estimate the mean and the precision."""
        from sklearn import covariance

        if self.covariance == "mcd" and len(rows) <= rows.shape[1] + 1:
            raise ParameterError(
                f"covariance = 'mcd': {len(rows)} rows of {rows.shape[1]} features have no determinant to minimise",
                allowed=f"at most {max(1, len(rows) // 3)} features",
                hint='steps = ["standardise", {"name": "project", "params": {"dimension": 16}}]',
            )
        if self.covariance == "mcd":
            estimator = covariance.MinCovDet(support_fraction=self.support_fraction, random_state=seed)
        else:
            names = {"ledoit-wolf": "LedoitWolf", "oas": "OAS", "empirical": "EmpiricalCovariance"}
            estimator = getattr(covariance, names[self.covariance])()
        estimator.fit(rows)
        self._mean, self._precision = estimator.location_, np.ascontiguousarray(estimator.get_precision())

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return the distances."""
        away = rows - self._mean
        # Rounding may leave the square of a tiny distance below zero.
        return np.sqrt(np.maximum(np.einsum("nd,nd->n", away @ self._precision, away), 0.0))

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return mean and precision."""
        return {"mean": self._mean, "precision": self._precision}, {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._mean, self._precision = arrays["mean"], arrays["precision"]


class EllipticRows(GaussianRows):
    """Robust Gaussian: the minimum covariance determinant (Rousseeuw & Van Driessen, 1999).

    Parameters
    ----------
    support_fraction : float, optional
        The share of the rows that are taken for good; default: scikit-learn's.
    """

    steps = ("standardise", {"name": "project", "params": {"dimension": 32}})

    def __init__(self, support_fraction: Optional[float] = None) -> None:
        super().__init__("mcd", support_fraction)


class MixtureRows(RowEstimator):
    """Negative log-likelihood under a mixture of Gaussians, fitted by scikit-learn (expectation maximisation).

    Parameters
    ----------
    n_components : int
        Gaussians; fewer where fewer rows were fitted on.
    covariance_type : {"full", "tied", "diag", "spherical"}
    reg_covar : float
        Added to the variances.
    max_iter : int
    """

    def __init__(
        self, n_components: int = 2, covariance_type: str = "full", reg_covar: float = 1e-3, max_iter: int = 100
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.max_iter = max_iter

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        require(is_whole(self.n_components, 1), "n_components", self.n_components, "a whole number, at least 1")
        require(self.covariance_type in TYPES, "covariance_type", self.covariance_type, ", ".join(TYPES))
        require(is_real(self.reg_covar) and self.reg_covar > 0.0, "reg_covar", self.reg_covar, "above 0")
        require(is_whole(self.max_iter, 1), "max_iter", self.max_iter, "a whole number, at least 1")

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Fit the mixture; one that has not converged after ``max_iter`` steps is taken as it is."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            n_components=min(self.n_components, len(rows)),
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows)
        dimension = rows.shape[1]
        factors = np.asarray(mixture.precisions_cholesky_)
        if self.covariance_type == "tied":
            factors = np.broadcast_to(factors, (len(mixture.weights_), dimension, dimension))
        elif self.covariance_type == "spherical":
            factors = np.broadcast_to(factors[:, None], (len(factors), dimension))
        self._set(np.log(mixture.weights_), mixture.means_, factors)

    def _set(self, log_weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> None:
        self._log_weights, self._means = log_weights, np.ascontiguousarray(means)
        self._factors = np.ascontiguousarray(factors)
        diagonal = np.diagonal(factors, axis1=1, axis2=2) if factors.ndim == 3 else factors
        self._log_determinants = np.log(diagonal).sum(axis=1)

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihoods."""
        parts = []
        for weight, mean, factor, volume in zip(self._log_weights, self._means, self._factors, self._log_determinants):
            away = rows - mean
            white = away @ factor if factor.ndim == 2 else away * factor
            squared = np.einsum("nd,nd->n", white, white)
            parts.append(weight + volume - 0.5 * (rows.shape[1] * np.log(2.0 * np.pi) + squared))
        return -np.logaddexp.reduce(np.stack(parts), axis=0)

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return weights, means, and the Cholesky factors of the precisions."""
        return {"log_weights": self._log_weights, "means": self._means, "factors": self._factors}, {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._set(arrays["log_weights"], arrays["means"], arrays["factors"])


class KernelDensityRows(RowEstimator):
    """Negative logarithm of a Gaussian kernel density (Parzen, 1962), up to a constant.

    Parameters
    ----------
    bandwidth : "scale" or float
        Standard deviation of the kernel; ``"scale"``: the median distance of a good row to its nearest one.
    """

    def __init__(self, bandwidth: Union[str, float] = "scale") -> None:
        self.bandwidth = bandwidth

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        given = self.bandwidth
        good = given == "scale" if isinstance(given, str) else is_real(given) and given > 0.0
        require(good, "bandwidth", given, '"scale", or a number above 0')

    def fit(self, rows: np.ndarray, seed: int) -> None:
        """Keep the rows, and choose the bandwidth."""
        from pyimgano.models.neighbors import Neighbors

        self._rows = np.ascontiguousarray(rows)
        if not isinstance(self.bandwidth, str):
            self._width = float(self.bandwidth)
            return
        distances, _ = Neighbors(rows.astype(np.float32)).query(rows.astype(np.float32), min(2, len(rows)))
        self._width = float(np.median(distances[:, -1])) or 1.0

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Return ``-log(mean(exp(-d² / 2 h²)))``: what scikit-learn's has beyond it is the same for all rows."""
        exponents = np.stack([-0.5 * ((self._rows - row) ** 2).sum(axis=1) / self._width**2 for row in rows])
        return np.log(len(self._rows)) - np.logaddexp.reduce(exponents, axis=1)

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the rows and the bandwidth."""
        return {"rows": self._rows}, {"width": self._width}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], seed: int) -> None:
        """Take them back."""
        self._rows, self._width = arrays["rows"], float(facts["width"])
