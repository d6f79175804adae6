"""What of classical machine learning this distribution registers: descriptors, and scikit-learn's detectors on them."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec, ModelSpec, Requirement

__all__ = ["CLASSICAL_MODELS", "FEATURES"]

_TORCH = Requirement("torch", "pyimgano-models", "lite")


def _feature(name: str, place: str, summary: str, paper: str = "", tags: tuple[str, ...] = ("image",)) -> ComponentSpec:
    factory = f"pyimgano.models.descriptors.{place}"
    return ComponentSpec(name, summary, factory, ("torch-free", *tags), paper=paper or None, kind="features")


FEATURES = (
    _feature(
        "colour",
        "colour:Colour",
        "Histograms and moments of the channels, in cells of a grid",
        "Swain & Ballard, Color Indexing, IJCV 1991; Stricker & Orengo, Similarity of Color Images, 1995",
    ),
    _feature(
        "edges",
        "edges:Edges",
        "Gradients, sharpness, edge pixels and the structure tensor, in cells of a grid",
        "Canny, A Computational Approach to Edge Detection, PAMI 1986; Förstner & Gülch, 1987",
    ),
    ComponentSpec(
        "embedding",
        "Any backbone's layers, pooled over the image or one vector a patch; weights as for the deep models",
        "pyimgano.models.embedding:Embedding",
        ("deep", "image", "patch"),
        (_TORCH,),
        kind="features",
    ),
    _feature(
        "gabor",
        "gabor:GaborBank",
        "Mean and deviation of the responses of a bank of Gabor filters",
        "Manjunath & Ma, Texture Features for Browsing and Retrieval of Image Data, PAMI 1996",
    ),
    _feature(
        "glcm",
        "glcm:CoOccurrence",
        "Measures of grey-level co-occurrence matrices, mean and range over directions",
        "Haralick, Shanmugam & Dinstein, Textural Features for Image Classification, 1973",
    ),
    _feature(
        "hog",
        "hog:OrientedGradients",
        "Histograms of oriented gradients, in a grid of cells",
        "Dalal & Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005",
    ),
    _feature(
        "lbp",
        "lbp:LocalBinaryPatterns",
        "Rotation-invariant uniform local binary patterns at several radii, in cells of a grid",
        "Ojala, Pietikäinen & Mäenpää, Multiresolution Gray-Scale and Rotation Invariant Texture Classification with "
        "Local Binary Patterns, PAMI 2002",
    ),
    _feature(
        "patches",
        "patch_statistics:PatchStatistics",
        "Lowest cosine coefficients of overlapping patches: a vector a patch, or their moments",
        tags=("image", "patch"),
    ),
    _feature(
        "pixels",
        "pixels:Pixels",
        "The image reduced to a few grey pixels; for aligned parts",
        "Turk & Pentland, Eigenfaces for Recognition, 1991",
        ("image", "aligned"),
    ),
    _feature("spectrum", "spectrum:Spectrum", "Power in bands of frequency and direction, of the FFT or the DCT"),
)


def _model(name: str, attribute: str, summary: str, paper: str, family: str) -> ModelSpec:
    return ModelSpec(
        f"sklearn-{name}",
        summary,
        f"pyimgano.models.sklearn_detectors:{attribute}",
        ("classical", "features", family),
        paper=paper,
        pixel_map=True,
    )


CLASSICAL_MODELS = (
    _model(
        "elliptic-envelope",
        "SklearnEllipticEnvelope",
        "Robust Gaussian of features: the minimum covariance determinant",
        "Rousseeuw & Van Driessen, A Fast Algorithm for the Minimum Covariance Determinant Estimator, 1999",
        "distribution",
    ),
    _model(
        "gaussian",
        "SklearnGaussian",
        "Mahalanobis distance to a Gaussian of features, its covariance shrunk (Ledoit-Wolf)",
        "Ledoit & Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, 2004",
        "distribution",
    ),
    _model(
        "gaussian-mixture",
        "SklearnGaussianMixture",
        "Negative log-likelihood of features under a mixture of Gaussians",
        "Dempster, Laird & Rubin, Maximum Likelihood from Incomplete Data via the EM Algorithm, 1977",
        "distribution",
    ),
    _model(
        "kernel-density",
        "SklearnKernelDensity",
        "Negative logarithm of a kernel density of features",
        "Parzen, On Estimation of a Probability Density Function and Mode, 1962",
        "distribution",
    ),
    _model(
        "local-outlier-factor",
        "SklearnLocalOutlierFactor",
        "Local outlier factor of features beside the good images",
        "Breunig, Kriegel, Ng & Sander, LOF: Identifying Density-Based Local Outliers, SIGMOD 2000",
        "neighbours",
    ),
    _model(
        "nearest-neighbors",
        "SklearnNearestNeighbors",
        "Distance of features to the nearest good images",
        "Ramaswamy, Rastogi & Shim, Efficient Algorithms for Mining Outliers from Large Data Sets, SIGMOD 2000",
        "neighbours",
    ),
    _model(
        "one-class-svm",
        "SklearnOneClassSvm",
        "One-class support vector machine on features",
        "Schölkopf et al., Estimating the Support of a High-Dimensional Distribution, 2001",
        "boundary",
    ),
    _model(
        "pca",
        "SklearnPca",
        "What the good images' principal components leave of features",
        "Jackson & Mudholkar, Control Procedures for Residuals Associated with Principal Component Analysis, 1979",
        "reconstruction",
    ),
    _model(
        "sgd-one-class-svm",
        "SklearnSgdOneClassSvm",
        "Linear one-class SVM on random Fourier features: for many patches",
        "Rahimi & Recht, Random Features for Large-Scale Kernel Machines, NIPS 2007",
        "boundary",
    ),
)
