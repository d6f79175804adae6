"""DFM: what deep features of good images have in common is a subspace, or a Gaussian in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.errors import ParameterError, PyimganoError
from pyimgano.core.parameters import require
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.exported_backbone import ExportedBackbone
from pyimgano.models.parallel import one_blas_thread

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.core.batching import ImageBatches

__all__ = ["Dfm"]

SCORES = ("fre", "nll")


class Dfm(ExportedBackbone):
    """DFM, deep feature modelling (Ahuja et al. 2019, arXiv 1909.11786).

    One layer's features of an image, average-pooled and flattened, are one vector. A principal component analysis of
    the good images' vectors keeps as many components as hold a given share of their variance.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`.
    layers : sequence of str, optional
        One layer. Default: the backbone's last of stride 16.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps.
    pooling : int
        Side, in positions of the layer, of the squares that features are averaged over; 1 leaves it out.
    variance : float
        Share of the variance that the components hold at least, in (0, 1].
    score : {"fre", "nll"}
        ``"fre"``, the feature reconstruction error: squared distance of a vector to its projection onto the
        components (Ndiour et al. 2020, arXiv 2012.04250); it also gives maps. ``"nll"``, the paper's own score: the
        negative log-likelihood under the Gaussian of the vectors within the components,
        ``Σ zᵢ² / λᵢ + Σ log λᵢ`` (twice the negative logarithm, less a constant); it scores whole images.
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    mean_ : ndarray, (D,) float64
    components_ : ndarray, (K, D) float64
        Orthonormal, by descending variance.
    variances_ : ndarray, (K,) float64
        Of the components among the good images (divided by their number).
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    Pooling leaves out rows and columns at the lower and right border that fill no square; with the default size and
    backbone there are none. A map is the error's sum over the channels, interpolated; it is coarse (4 × 4 squares).
    While fitting, the vectors of all images are held: ``8 D`` bytes an image, 14 KB with the defaults.
    The paper fits one Gaussian a class; here there is one class, the good images.
    """

    mean_: np.ndarray
    components_: np.ndarray
    variances_: np.ndarray

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        pooling: int = 4,
        variance: float = 0.97,
        score: str = "fre",
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.pooling = pooling
        self.variance = variance
        self.score = score
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        one = self.layers is None or isinstance(self.layers, str) or len(self.layers) == 1
        require(one, "layers", self.layers, "one layer, or null")
        require(is_whole(self.pooling, 1), "pooling", self.pooling, "a whole number, at least 1")
        share = self.variance
        require(is_real(share) and 0.0 < share <= 1.0, "variance", share, "above 0, at most 1")
        require(self.score in SCORES, "score", self.score, ", ".join(SCORES))

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        last = {layer.stride: layer.name for layer in resolve_backbone(self.backbone).layers}
        return (last[16],) if 16 in last else None

    def _fit(self, images: ImageBatches) -> None:
        extractor = self._make_extractor()
        vectors = np.concatenate([self._pool(extractor.extract(b)).reshape(len(b), -1) for b in images])
        self.mean_ = vectors.mean(axis=0)
        vectors -= self.mean_
        with one_blas_thread():  # LAPACK's last bits depend on the number of threads
            _, singular, directions = np.linalg.svd(vectors, full_matrices=False)
        variances = singular**2 / len(vectors)
        # A direction in which the good images do not differ, but for rounding, has no variance to be divided by.
        rank = int((singular > singular[0] * max(vectors.shape) * np.finfo(np.float64).eps).sum())
        share = np.cumsum(variances[:rank]) / variances[:rank].sum()
        # Rounding must not ask for one more than there are when the share is 1.
        count = min(int(np.searchsorted(share, self.variance)) + 1, rank)
        if count == 0 and self.score == "nll":
            raise ParameterError(
                "the good images do not differ: they have no likelihood", where="score", hint='take score = "fre"'
            )
        self.components_, self.variances_ = directions[:count].copy(), variances[:count].copy()

    def _pool(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        """Return (N, C, h', w') float64: means over squares."""
        (name, layer) = next(iter(maps.items()))
        side = self.pooling
        count, channels, height, width = layer.shape
        if min(height, width) < side:
            raise ParameterError(
                f"pooling = {side}, and the layer {name} has {height} × {width} positions",
                allowed=f"1 to {min(height, width)}",
                hint="take a smaller pooling, or a greater input_size",
            )
        rows, columns = height // side, width // side
        whole = layer[:, :, : rows * side, : columns * side].astype(np.float64)
        pooled: np.ndarray = whole.reshape(count, channels, rows, side, columns, side).mean(axis=(3, 5))
        if not np.isfinite(pooled).all():
            raise PyimganoError(
                "the backbone gave features that are not finite",
                hint="its weights are damaged or do not fit: choose others",
            )
        return pooled

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        extractor = self.extractor
        pooled = self._pool(extractor.extract(batch))
        offsets = pooled.reshape(len(batch), -1) - self.mean_
        with one_blas_thread():
            # Image by image: a product over all would give other last bits for other numbers of them.
            within = np.stack([self.components_ @ offset for offset in offsets])
            if self.score == "nll":
                return (within**2 / self.variances_).sum(axis=1) + np.log(self.variances_).sum(), None
            residuals = np.stack([o - z @ self.components_ for o, z in zip(offsets, within)])
        errors = (residuals**2).reshape(pooled.shape).sum(axis=1)
        scores = errors.sum(axis=(1, 2))
        return scores, render_maps(errors, extractor.input_size, sigma=0.0) if maps else None

    def _graph_head(self) -> nn.Module:
        from pyimgano.models.graphs.dfm import DfmGraph
        from pyimgano.models.graphs.maps import RenderedMap

        height, width = (side // self.pooling for side in self._graph_grid())
        renderer = RenderedMap((height, width), self.extractor.input_size, sigma=0.0) if self.score == "fre" else None
        return DfmGraph(self.mean_, self.components_, self.variances_, pooling=self.pooling, renderer=renderer)

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {"mean": self.mean_, "components": self.components_, "variances": self.variances_}
        return arrays, {"extractor": self.extractor_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_extractor(facts["extractor"])
        self.mean_, self.components_, self.variances_ = arrays["mean"], arrays["components"], arrays["variances"]
