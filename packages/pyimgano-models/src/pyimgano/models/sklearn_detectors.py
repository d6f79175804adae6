"""The detectors of scikit-learn on feature vectors: one class each, made of an estimator of rows."""

from __future__ import annotations

from pyimgano.models.feature_detector import FeatureDetector, RowEstimator, detector_class
from pyimgano.models.row_estimators.densities import EllipticRows, GaussianRows, KernelDensityRows, MixtureRows
from pyimgano.models.row_estimators.neighbors import LocalOutlierRows, NearestRows
from pyimgano.models.row_estimators.principal_components import ResidualRows
from pyimgano.models.row_estimators.support_vectors import OneClassRows, SgdOneClassRows

__all__ = [
    "SklearnEllipticEnvelope",
    "SklearnGaussian",
    "SklearnGaussianMixture",
    "SklearnKernelDensity",
    "SklearnLocalOutlierFactor",
    "SklearnNearestNeighbors",
    "SklearnOneClassSvm",
    "SklearnPca",
    "SklearnSgdOneClassSvm",
]


def _made(name: str, estimator: type[RowEstimator]) -> type[FeatureDetector]:
    more = "See :class:`~pyimgano.models.feature_detector.FeatureDetector` for the other parameters."
    doc = f"{estimator.__doc__}\n    {more}\n"
    return detector_class(name, estimator, doc, __name__)


SklearnEllipticEnvelope = _made("SklearnEllipticEnvelope", EllipticRows)
SklearnGaussian = _made("SklearnGaussian", GaussianRows)
SklearnGaussianMixture = _made("SklearnGaussianMixture", MixtureRows)
SklearnKernelDensity = _made("SklearnKernelDensity", KernelDensityRows)
SklearnLocalOutlierFactor = _made("SklearnLocalOutlierFactor", LocalOutlierRows)
SklearnNearestNeighbors = _made("SklearnNearestNeighbors", NearestRows)
SklearnOneClassSvm = _made("SklearnOneClassSvm", OneClassRows)
SklearnPca = _made("SklearnPca", ResidualRows)
SklearnSgdOneClassSvm = _made("SklearnSgdOneClassSvm", SgdOneClassRows)
