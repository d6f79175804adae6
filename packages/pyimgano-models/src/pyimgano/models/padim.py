"""PaDiM: a Gaussian of backbone features at every position, and the Mahalanobis distance to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require
from pyimgano.core.seeding import generator
from pyimgano.models.adaptable_backbone import AdaptableBackbone
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.backbones import pyramid_layers, resolve_backbone
from pyimgano.models.exported_backbone import ExportedBackbone
from pyimgano.models.gaussians import GaussianAccumulator, PositionGaussians
from pyimgano.models.patches import aligned_patches

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.core.batching import ImageBatches
    from pyimgano.core.estimates import ResourceEstimate

__all__ = ["Padim"]


class Padim(AdaptableBackbone, ExportedBackbone):
    """PaDiM (Defard et al., ICPR workshops 2021, arXiv 2011.08785).

    For images in which every part stands at its place: at each position, the features of the good images are described
    by a Gaussian. A position's score is its Mahalanobis distance; the map of these, interpolated and smoothed, has its
    maximum as the image's score.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`.
    layers : sequence of str, optional
        Default: the backbone's last layers of stride 4, 8 and 16, as in the paper.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps.
    n_features : int, optional
        How many of the layers' channels to take, at random (the paper takes 100 of ResNet18's 448, 550 of a Wide
        ResNet-50's 1792). None takes all; memory and time grow with the square.
    epsilon : float
        Added to the diagonals of the covariances, above 0.
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    seed : int
        Decides which channels are taken.
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    channels_ : ndarray, (D,) int64
        The channels taken, ascending, counted through the layers.
    mean_ : ndarray, (P, D) float64
    whitening_ : ndarray, (P, D (D + 1) / 2) float32
        See :class:`~pyimgano.models.gaussians.PositionGaussians`.
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.
    """

    channels_: np.ndarray
    mean_: np.ndarray
    whitening_: np.ndarray

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 224,
        n_features: Optional[int] = 100,
        epsilon: float = 0.01,
        map_sigma: float = 4.0,
        seed: int = 0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.n_features = n_features
        self.epsilon = epsilon
        self.map_sigma = map_sigma
        self.seed = seed
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        fits = self.n_features is None or is_whole(self.n_features, 1)
        require(fits, "n_features", self.n_features, "a whole number, at least 1, or null for all")
        require(is_real(self.epsilon) and self.epsilon > 0.0, "epsilon", self.epsilon, "above 0")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return pyramid_layers(resolve_backbone(self.backbone))

    def _fit(self, images: ImageBatches) -> None:
        extractor = self._make_extractor()
        accumulator: Optional[GaussianAccumulator] = None
        for batch in images:
            maps = extractor.extract(batch)
            if accumulator is None:
                self.channels_ = self._choose_channels(sum(layer.shape[1] for layer in maps.values()))
            vectors = self._vectors(maps)
            if accumulator is None:
                accumulator = GaussianAccumulator(*vectors.shape[1:])
            accumulator.add(vectors)
        assert accumulator is not None
        try:
            gaussians = accumulator.finish(self.epsilon)
        except ValueError as error:
            raise ParameterError(str(error), where="epsilon", hint="take a greater one; 0.01 is the default") from error
        self._set_gaussians(gaussians)

    def resource_estimate(self, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
        """Return what a fit on so many images needs; see :class:`pyimgano.core.estimates.Estimable`.

        What is learned and held has the size of P Gaussians of D features, whatever the number of images. Extraction
        and the sums are linear in it; the inversion, timed on some positions, is done once.
        """
        from pyimgano.core.estimates import ResourceEstimate
        from pyimgano.models.estimating import array_bytes, extract_sample, timed

        self.validate()
        scratch = type(self)(**self.get_params())
        extractor = scratch._make_extractor()

        def describe(batch: list[np.ndarray]) -> np.ndarray:
            maps = extractor.extract(batch)
            scratch.channels_ = scratch._choose_channels(sum(layer.shape[1] for layer in maps.values()))
            return scratch._vectors(maps)

        extraction, vectors = extract_sample(scratch, sample, describe)
        positions, features = vectors.shape[1:]
        # As many images as are summed at once, and enough positions for all cores.
        some = np.resize(vectors[:, :256], (32, min(positions, 256), features))
        accumulator = GaussianAccumulator(*some.shape[1:])
        adding, _ = timed(lambda: accumulator.add(some))
        finishing, gaussians = timed(lambda: accumulator.finish(float(self.epsilon)))
        asking, _ = timed(lambda: gaussians.distances(some[:1]))
        times = positions / some.shape[1]
        triangle = features * (features + 1) // 2
        learned = {"channels": scratch.channels_, "mean": np.empty((positions, features))}
        state = array_bytes(learned) + 4 * positions * triangle
        return ResourceEstimate(
            state_bytes=state,
            # The sums of products, what becomes of them, and the square matrices for scoring.
            working_bytes=8 * positions * triangle + state + 4 * positions * features * features,
            fit_seconds=n_images * (extraction + times * adding / len(some)) + times * finishing,
            image_seconds=extraction + times * asking,
            assumptions=("Extraction and sums are linear in the number of images.",),
        )

    def _choose_channels(self, available: int) -> np.ndarray:
        wanted = available if self.n_features is None else self.n_features
        if wanted > available:
            raise ParameterError(
                f"n_features = {wanted}, and the layers have {available} channels",
                allowed=f"1 to {available}, or null for all",
            )
        chosen = generator(self.seed, "padim", "channels").choice(available, wanted, replace=False)
        return np.sort(chosen).astype(np.int64)

    def _vectors(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        patches = aligned_patches(maps, self.channels_)
        self._grid = patches.shape[1:3]
        return patches.reshape(len(patches), -1, patches.shape[-1])

    def _set_gaussians(self, gaussians: PositionGaussians) -> None:
        self._gaussians = gaussians
        self.mean_, self.whitening_ = gaussians.mean, gaussians.whitening

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        extractor = self.extractor
        vectors = self._vectors(extractor.extract(batch))
        distances = self._gaussians.distances(vectors).reshape(len(batch), *self._grid)
        rendered = render_maps(distances, extractor.input_size, sigma=self.map_sigma)
        return rendered.max(axis=(1, 2)), rendered if maps else None

    def _graph_head(self) -> nn.Module:
        from pyimgano.models.graphs.maps import RenderedMap
        from pyimgano.models.graphs.padim import PadimGraph

        renderer = RenderedMap(self._graph_grid(), self.extractor.input_size, sigma=self.map_sigma)
        return PadimGraph(self.channels_, self.mean_, self.whitening_, renderer=renderer)

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {"channels": self.channels_, "mean": self.mean_, "whitening": self.whitening_}
        return {**self._adapted_state(), **arrays}, {"extractor": self.extractor_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_adapted(arrays)
        self._restore_extractor(facts["extractor"])
        self.channels_ = arrays["channels"]
        self._set_gaussians(PositionGaussians(arrays["mean"], arrays["whitening"]))
