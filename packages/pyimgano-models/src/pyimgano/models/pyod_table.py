"""Every detector of PyOD: what it is for, what it needs, and how an image is scored by it. Data only.

``scored`` says what of a detector's ``decision_function`` keeps an image's score apart from the batch that it comes in:

``native``
    Rows do not touch each other.
``single``
    One row at a time: beside others, its score would depend on them (or be drawn from one stream of random numbers).
``beside``
    One row at a time, beside all rows that were fitted on: the method says how a row stands among others, and asked for
    one row alone it has nothing to say, or asked for a batch it compares the images of the batch with each other.
``refused``
    Neither makes it a detector of new images; ``why`` says so.
``not-applicable``
    It does not take feature vectors of good images; ``why`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyimgano.core.specs import ModelSpec, Requirement

__all__ = ["PYOD_DETECTORS", "PYOD_MODELS", "PyodEntry", "pyod_entry"]

SCORED = ("native", "single", "beside", "refused", "not-applicable")

_PYOD = Requirement("pyod", "pyimgano-models", "pyod")
_TORCH = Requirement("torch", "pyimgano-models", "lite")
_COMBO = Requirement("combo", "combo")
_SUOD = Requirement("suod", "suod")
_PANDAS = Requirement("pandas", "pandas")  # two modules of PyOD import it, and PyOD does not ask for it


@dataclass(frozen=True)
class PyodEntry:
    """One detector of PyOD.

    Attributes
    ----------
    name : str
        ``pyod-<name>`` is the model.
    path : str
        ``"<module below pyod.models>:<class>"``.
    family : str
        Neighbours, density, marginal, linear, boundary, isolation, ensemble, deep; graph, text, time-series, audio.
    scored : str
        See the module.
    title : str
        What it is, in a few words; empty for what is not registered.
    why : str
        Why it is refused or not applicable.
    requires : tuple of Requirement
        Beyond PyOD.
    slow : bool
        A default fit on 200 images takes more than about 10 s on one core, or scoring one more than 0.2 s.
    steps : tuple
        Default of the parameter ``steps``, where the method's time, or the images that it needs, grow fast with the
        number of features; empty: the default of its family.
    """

    name: str
    path: str
    family: str
    scored: str
    title: str = ""
    why: str = ""
    requires: tuple[Requirement, ...] = ()
    slow: bool = False
    steps: tuple[Any, ...] = ()


def _reduced(step: str, parameter: str, number: int) -> tuple[Any, ...]:
    return "standardise", {"name": step, "params": {parameter: number}}


_FEW = _reduced("project", "dimension", 32)
_VERY_FEW = _reduced("project", "dimension", 6)
_COMPONENTS = _reduced("pca", "components", 8)
_GRAPH = "takes the nodes of a graph"
_SERIES = "takes a series in time, whose rows follow each other"

PYOD_DETECTORS = (
    PyodEntry("abod", "abod:ABOD", "neighbours", "native", "angle-based outlier detection"),
    PyodEntry(
        "ae1svm", "ae1svm:AE1SVM", "deep", "beside", "autoencoder and one-class SVM", requires=(_TORCH,), slow=True
    ),
    PyodEntry("alad", "alad:ALAD", "deep", "single", "adversarially learned", requires=(_TORCH, _PANDAS), slow=True),
    PyodEntry("anogan", "anogan:AnoGAN", "deep", "single", "AnoGAN", requires=(_TORCH, _PANDAS), slow=True),
    PyodEntry("audio-ae", "audio_ae:AudioAE", "audio", "not-applicable", why="takes sound"),
    PyodEntry("auto-encoder", "auto_encoder:AutoEncoder", "deep", "native", "autoencoder", requires=(_TORCH,)),
    PyodEntry("cblof", "cblof:CBLOF", "neighbours", "native", "clustering-based local outlier factor"),
    PyodEntry("cd", "cd:CD", "linear", "beside", "Cook's distance", steps=_FEW),
    PyodEntry("cof", "cof:COF", "neighbours", "beside", "connectivity-based outlier factor"),
    PyodEntry("copod", "copod:COPOD", "marginal", "single", "copula-based outlier detection"),
    PyodEntry("deep-svdd", "deep_svdd:DeepSVDD", "deep", "native", "Deep SVDD", requires=(_TORCH,)),
    PyodEntry("devnet", "devnet:DevNet", "deep", "not-applicable", why="learns from labelled defects"),
    PyodEntry("dif", "dif:DIF", "deep", "beside", "deep isolation forest", requires=(_TORCH,), slow=True),
    PyodEntry("ecod", "ecod:ECOD", "marginal", "single", "empirical cumulative distributions"),
    PyodEntry(
        "embedding-od", "embedding:EmbeddingOD", "text", "not-applicable", why="takes texts or files and encodes them"
    ),
    PyodEntry("multi-modal-od", "embedding:MultiModalOD", "text", "not-applicable", why="takes several kinds of data"),
    PyodEntry(
        "feature-bagging",
        "feature_bagging:FeatureBagging",
        "ensemble",
        "native",
        "LOF in subsets of features",
        requires=(_COMBO,),
    ),
    PyodEntry("gmm", "gmm:GMM", "density", "native", "mixture of Gaussians"),
    PyodEntry("hbos", "hbos:HBOS", "marginal", "native", "histogram-based outlier score"),
    PyodEntry("hdbscan", "hdbscan:HDBSCAN", "neighbours", "native", "hierarchical density-based clusters"),
    PyodEntry("iforest", "iforest:IForest", "isolation", "native", "isolation forest"),
    PyodEntry("inne", "inne:INNE", "isolation", "native", "isolation by nearest neighbours"),
    PyodEntry("kde", "kde:KDE", "density", "native", "kernel density"),
    PyodEntry("knn", "knn:KNN", "neighbours", "native", "distance to the k-th nearest neighbour"),
    PyodEntry("kpca", "kpca:KPCA", "linear", "native", "kernel principal components"),
    PyodEntry(
        "lmdd",
        "lmdd:LMDD",
        "linear",
        "refused",
        "deviation of a set without a row",
        why="a score says how much the set that is scored varies without a row: it belongs to a set, and beside the "
        "good images it stays 0 for defects",
    ),
    PyodEntry(
        "loci",
        "loci:LOCI",
        "neighbours",
        "refused",
        "local correlation integral",
        why="it forgets what it was fitted on, and scoring one image beside 200 good ones takes half a minute",
    ),
    PyodEntry("loda", "loda:LODA", "ensemble", "native", "histograms of random projections"),
    PyodEntry("lof", "lof:LOF", "neighbours", "native", "local outlier factor"),
    PyodEntry("lscp", "lscp:LSCP", "ensemble", "native", "locally selected detectors", requires=(_COMBO,)),
    PyodEntry("lunar", "lunar:LUNAR", "deep", "native", "graph network of distances", requires=(_TORCH,), slow=True),
    PyodEntry("mad", "mad:MAD", "marginal", "not-applicable", why="takes one feature"),
    PyodEntry("mcd", "mcd:MCD", "density", "native", "minimum covariance determinant", steps=_FEW),
    PyodEntry(
        "mo-gaal", "mo_gaal:MO_GAAL", "deep", "native", "several generators and a discriminator", requires=(_TORCH,)
    ),
    PyodEntry("ocsvm", "ocsvm:OCSVM", "boundary", "native", "one-class SVM"),
    PyodEntry("pca", "pca:PCA", "linear", "native", "weighted principal components"),
    PyodEntry("anomalous", "pyg_anomalous:ANOMALOUS", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("anomaly-dae", "pyg_anomalydae:AnomalyDAE", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("cola", "pyg_cola:CoLA", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("conad", "pyg_conad:CONAD", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("dominant", "pyg_dominant:DOMINANT", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("guide", "pyg_guide:GUIDE", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("radar", "pyg_radar:Radar", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("scan", "pyg_scan:SCAN", "graph", "not-applicable", why=_GRAPH),
    PyodEntry("qmcd", "qmcd:QMCD", "density", "native", "quasi-Monte-Carlo discrepancy", steps=_COMPONENTS),
    PyodEntry(
        "rgraph",
        "rgraph:RGraph",
        "linear",
        "refused",
        "random walks of self-representation",
        why="it forgets what it was fitted on; beside good images it scores defects below them, in seconds an image",
    ),
    PyodEntry("rod", "rod:ROD", "marginal", "beside", "rotations in three features", steps=_VERY_FEW),
    PyodEntry("sampling", "sampling:Sampling", "neighbours", "native", "distance to a sample"),
    PyodEntry("so-gaal", "so_gaal:SO_GAAL", "deep", "native", "a generator and a discriminator", requires=(_TORCH,)),
    PyodEntry(
        "so-gaal-new",
        "so_gaal_new:SO_GAAL",
        "deep",
        "native",
        "a generator and a discriminator, newer",
        requires=(_TORCH,),
    ),
    PyodEntry("sod", "sod:SOD", "neighbours", "beside", "subspace outlier degree"),
    PyodEntry("sos", "sos:SOS", "neighbours", "beside", "stochastic outlier selection"),
    PyodEntry("suod", "suod:SUOD", "ensemble", "native", "an ensemble of detectors", requires=(_COMBO, _SUOD)),
    PyodEntry(
        "anomaly-transformer", "ts_anomaly_transformer:AnomalyTransformer", "time-series", "not-applicable", why=_SERIES
    ),
    PyodEntry("kshape", "ts_kshape:KShape", "time-series", "not-applicable", why=_SERIES),
    PyodEntry("lstm-ad", "ts_lstm:LSTMAD", "time-series", "not-applicable", why=_SERIES),
    PyodEntry("matrix-profile", "ts_matrix_profile:MatrixProfile", "time-series", "not-applicable", why=_SERIES),
    PyodEntry("time-series-od", "ts_od:TimeSeriesOD", "time-series", "not-applicable", why=_SERIES),
    PyodEntry("sand", "ts_sand:SAND", "time-series", "not-applicable", why=_SERIES),
    PyodEntry(
        "spectral-residual", "ts_spectral_residual:SpectralResidual", "time-series", "not-applicable", why=_SERIES
    ),
    PyodEntry("vae", "vae:VAE", "deep", "single", "variational autoencoder", requires=(_TORCH,), slow=True),
    PyodEntry("xgbod", "xgbod:XGBOD", "ensemble", "not-applicable", why="learns from labelled defects"),
)
"""As PyOD lists them, by module."""


def pyod_entry(name: str) -> PyodEntry:
    """Return the entry called ``name``; KeyError when there is none."""
    return {entry.name: entry for entry in PYOD_DETECTORS}[name]


def _spec(entry: PyodEntry) -> ModelSpec:
    refused = entry.scored == "refused"
    tags = ("classical", "features", "pyod", entry.family)
    summary = f"PyOD's {entry.path.partition(':')[2]} on features: {entry.title}"
    return ModelSpec(
        f"pyod-{entry.name}",
        summary + ("; not for new images" if refused else ""),
        f"pyimgano.models.pyod_detectors:{entry.name.replace('-', '_')}",
        (*tags, *(["transductive"] if refused else []), *(["slow"] if entry.slow else [])),
        (_PYOD, *entry.requires),
        pixel_map=entry.scored == "native",
    )


PYOD_MODELS = tuple(_spec(entry) for entry in PYOD_DETECTORS if entry.scored != "not-applicable")
