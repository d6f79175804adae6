"""PatchCore: nearest neighbours in a coreset of patch features of good images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.core.seeding import derive_seed, generator
from pyimgano.models.adaptable_backbone import AdaptableBackbone
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.coreset import coreset_size, greedy_coreset, sparse_projection
from pyimgano.models.exported_backbone import ExportedBackbone
from pyimgano.models.neighbors import Neighbors
from pyimgano.models.patches import gather_patches, locally_aware_patches

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.core.batching import ImageBatches
    from pyimgano.core.estimates import ResourceEstimate

__all__ = ["PatchCore"]


class PatchCore(AdaptableBackbone, ExportedBackbone):
    """PatchCore (Roth et al., CVPR 2022, arXiv 2106.08265).

    Patch features of the good images, reduced to a greedy coreset, are the memory bank. A patch's score is its distance
    to the nearest feature in the bank; an image's is that of its most anomalous patch, weighted by how lonely the
    nearest feature is in the bank.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`.
    layers : sequence of str, optional
        Default: the backbone's layers of stride 8 and 16, as in the paper.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps.
    coreset_sampling_ratio : float
        Share of all patch features that the bank keeps, in (0, 1].
    coreset_projection : int, optional
        Choose the coreset by random projections of the features to so many dimensions (the bank keeps the features
        themselves). Faster with features of a thousand dimensions or more; no effect when it is not fewer than they
        have. Default: choose by the features.
    num_neighbors : int
        ``b`` of the paper's image score: number of the bank's features around the nearest one that weigh the score.
        1 leaves the weighting out.
    patch_size : int
        Odd side of the neighbourhood that a patch feature is the mean of.
    map_interpolation : {"bilinear", "nearest"}
        How patch scores become a map: as in the paper, or constant on each patch.
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    seed : int
        Decides the coreset's first feature (and the projection).
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    memory_bank_ : ndarray, (M, D) float32
        In the order of selection. Of the same images, seed and features, a smaller bank is the beginning of a greater.
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    While fitting, the features of all images are held: ``4 h w D`` bytes an image, 0.5 MB with the defaults.
    """

    memory_bank_: np.ndarray

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 224,
        coreset_sampling_ratio: float = 0.1,
        coreset_projection: Optional[int] = None,
        num_neighbors: int = 9,
        patch_size: int = 3,
        map_interpolation: str = "bilinear",
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
        self.coreset_sampling_ratio = coreset_sampling_ratio
        self.coreset_projection = coreset_projection
        self.num_neighbors = num_neighbors
        self.patch_size = patch_size
        self.map_interpolation = map_interpolation
        self.map_sigma = map_sigma
        self.seed = seed
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        ratio, projection = self.coreset_sampling_ratio, self.coreset_projection
        require(is_real(ratio) and 0.0 < ratio <= 1.0, "coreset_sampling_ratio", ratio, "above 0, at most 1")
        fits = projection is None or is_whole(projection, 1)
        require(fits, "coreset_projection", projection, "a whole number, at least 1, or null")
        require(is_whole(self.num_neighbors, 1), "num_neighbors", self.num_neighbors, "a whole number, at least 1")
        odd = is_whole(self.patch_size, 1) and self.patch_size % 2 == 1
        require(odd, "patch_size", self.patch_size, "an odd number: 1, 3, 5, …")
        known = self.map_interpolation in ("bilinear", "nearest")
        require(known, "map_interpolation", self.map_interpolation, "bilinear, nearest")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")

    def _fit(self, images: ImageBatches) -> None:
        extractor = self._make_extractor()
        patches = gather_patches(
            images, lambda batch: locally_aware_patches(extractor.extract(batch), patch_size=self.patch_size)
        )
        features = patches.reshape(-1, patches.shape[-1])
        self._set_bank(features[self._coreset(features)])

    def _coreset(self, features: np.ndarray) -> Any:
        size = coreset_size(len(features), self.coreset_sampling_ratio)
        if size == len(features):
            return slice(None)
        start = int(generator(self.seed, "patchcore", "coreset").integers(len(features)))
        if self.coreset_projection is not None:
            seed = derive_seed(self.seed, "patchcore", "projection")
            features = sparse_projection(features, self.coreset_projection, seed=seed)
        return greedy_coreset(features, size, start=start)

    def resource_estimate(self, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
        """Return what a fit on so many images needs; see :class:`pyimgano.core.estimates.Estimable`.

        The bank's size follows from the number of patches. Extraction is linear in the number of images; the coreset's
        time grows as :func:`pyimgano.models.estimating.coreset_seconds` says.
        """
        from pyimgano.models.memory_estimate import estimate_memory

        self.validate()
        return estimate_memory(
            type(self)(**self.get_params()),
            lambda maps: locally_aware_patches(maps, patch_size=self.patch_size),
            sample,
            n_images,
            ratio=float(self.coreset_sampling_ratio),
            projection=self.coreset_projection,
        )

    def _set_bank(self, bank: np.ndarray) -> None:
        self.memory_bank_ = bank
        self._neighbors = Neighbors(bank)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        extractor = self.extractor
        patches = locally_aware_patches(extractor.extract(batch), patch_size=self.patch_size)
        count, height, width, dimension = patches.shape
        patches = patches.reshape(count, height * width, dimension)
        distances, nearest = self._neighbors.query(patches.reshape(-1, dimension))
        distances, nearest = distances.reshape(count, -1), nearest.reshape(count, -1)
        worst = distances.argmax(axis=1)
        images = np.arange(count)
        scores = distances[images, worst]
        support_size = min(self.num_neighbors, len(self._neighbors))
        if support_size > 1:
            scores = scores * self._weights(patches[images, worst], scores, nearest[images, worst], support_size)
        if not maps:
            return scores, None
        grid = distances.reshape(count, height, width)
        return scores, render_maps(
            grid, extractor.input_size, sigma=self.map_sigma, interpolation=self.map_interpolation
        )

    def _weights(
        self, patches: np.ndarray, distances: np.ndarray, nearest: np.ndarray, support_size: int
    ) -> np.ndarray:
        """Return the weights of equation 7: small where the nearest feature's own neighbours are as near."""
        bank = self._neighbors.bank
        _, support = self._neighbors.query(bank[nearest], support_size)
        difference = patches[:, None].astype(np.float64) - bank[support]
        around = np.sqrt(np.einsum("nkd,nkd->nk", difference, difference))
        farthest = around.max(axis=1)
        return 1.0 - np.exp(distances - farthest) / np.exp(around - farthest[:, None]).sum(axis=1)

    def _graph_head(self) -> nn.Module:
        from pyimgano.models.graphs.maps import RenderedMap
        from pyimgano.models.graphs.patchcore import PatchCoreGraph

        # Which rows are around a row of the bank is known beforehand: the graph has no second search to do.
        _, support = self._neighbors.query(self.memory_bank_, min(self.num_neighbors, len(self.memory_bank_)))
        renderer = RenderedMap(
            self._graph_grid(),
            self.extractor.input_size,
            sigma=self.map_sigma,
            interpolation=self.map_interpolation,
        )
        return PatchCoreGraph(self.memory_bank_, support, patch_size=self.patch_size, renderer=renderer)

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {**self._adapted_state(), "memory_bank": self.memory_bank_}, {"extractor": self.extractor_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_adapted(arrays)
        self._restore_extractor(facts["extractor"])
        self._set_bank(arrays["memory_bank"])
