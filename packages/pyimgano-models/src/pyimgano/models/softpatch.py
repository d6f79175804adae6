"""SoftPatch: PatchCore for training sets with defects in them, which are found patch by patch and left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.core.seeding import derive_seed, generator
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.coreset import coreset_size, greedy_coreset, sparse_projection
from pyimgano.models.exported_backbone import ExportedBackbone
from pyimgano.models.neighbors import Neighbors
from pyimgano.models.noise import gaussian_outlyingness, local_outlier_factors, nearest_outlyingness
from pyimgano.models.patches import gather_patches, locally_aware_patches

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.core.batching import ImageBatches
    from pyimgano.core.estimates import ResourceEstimate

__all__ = ["SoftPatch"]

DISCRIMINATORS = ("lof", "nearest", "gaussian")


class SoftPatch(ExportedBackbone):
    """SoftPatch (Jiang et al., NeurIPS 2022, arXiv 2403.14233).

    A noise discriminator tells how much each patch of the training images sticks out among those of the same position
    in the other images. The patches that stick out most are removed; of the others, a greedy coreset is the memory
    bank, as in PatchCore. Each feature of the bank keeps its outlyingness as its weight: a patch's score is its
    distance to the nearest feature in the bank times that feature's weight, an image's score that of its worst patch.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The paper's is ``"wide_resnet50_2"``.
    layers : sequence of str, optional
        Default: the backbone's layers of stride 8 and 16, as in the paper.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps.
    noise_discriminator : {"lof", "nearest", "gaussian"}
        Local outlier factor, distance to the nearest other patch, or Mahalanobis distance to the position's Gaussian.
    noise_ratio : float
        ``τ`` of the paper: share of the patches of all images that is removed, in [0, 1).
    lof_neighbors : int
        Neighbours that the local outlier factor looks at; at most one less than there are images.
    soft_weights : bool
        Whether distances are weighted by the outlyingness of the bank's features.
    coreset_sampling_ratio : float
        Share of all patch features (the removed ones counted) that the bank keeps, in (0, 1].
    projection : int, optional
        Discriminate, and choose the coreset, by random projections of the features to so many dimensions, as the
        authors' code does; no effect when it is not fewer than the features have. None leaves it out.
    patch_size : int
        Odd side of the neighbourhood that a patch feature is the mean of.
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    seed : int
        Decides the coreset's first feature and the projection.
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    memory_bank_ : ndarray, (M, D) float32
    bank_weights_ : ndarray, (M,) float64
        All 1 without ``soft_weights``.
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    The patches are compared by position, so it is for images in which parts stand at their places. One quantile over
    all patches decides what is removed, as in the authors' code: a position at which nothing sticks out loses nothing.
    Differences to that code: the projection is the sparse one of PatchCore, not a random linear layer; the coreset
    starts at one feature, not at the mean distance to ten.
    """

    memory_bank_: np.ndarray
    bank_weights_: np.ndarray

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 224,
        noise_discriminator: str = "lof",
        noise_ratio: float = 0.15,
        lof_neighbors: int = 6,
        soft_weights: bool = True,
        coreset_sampling_ratio: float = 0.1,
        projection: Optional[int] = 128,
        patch_size: int = 3,
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
        self.noise_discriminator = noise_discriminator
        self.noise_ratio = noise_ratio
        self.lof_neighbors = lof_neighbors
        self.soft_weights = soft_weights
        self.coreset_sampling_ratio = coreset_sampling_ratio
        self.projection = projection
        self.patch_size = patch_size
        self.map_sigma = map_sigma
        self.seed = seed
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        known = self.noise_discriminator in DISCRIMINATORS
        require(known, "noise_discriminator", self.noise_discriminator, ", ".join(DISCRIMINATORS))
        share, ratio = self.noise_ratio, self.coreset_sampling_ratio
        require(is_real(share) and 0.0 <= share < 1.0, "noise_ratio", share, "at least 0, below 1")
        require(is_whole(self.lof_neighbors, 1), "lof_neighbors", self.lof_neighbors, "a whole number, at least 1")
        require(isinstance(self.soft_weights, bool), "soft_weights", self.soft_weights, "true, false")
        require(is_real(ratio) and 0.0 < ratio <= 1.0, "coreset_sampling_ratio", ratio, "above 0, at most 1")
        fits = self.projection is None or is_whole(self.projection, 1)
        require(fits, "projection", self.projection, "a whole number, at least 1, or null")
        odd = is_whole(self.patch_size, 1) and self.patch_size % 2 == 1
        require(odd, "patch_size", self.patch_size, "an odd number: 1, 3, 5, …")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")

    def _fit(self, images: ImageBatches) -> None:
        extractor = self._make_extractor()
        patches = gather_patches(
            images, lambda batch: locally_aware_patches(extractor.extract(batch), patch_size=self.patch_size)
        )
        features = patches.reshape(-1, patches.shape[-1])
        reduced = features
        if self.projection is not None:
            reduced = sparse_projection(
                features, self.projection, seed=derive_seed(self.seed, "softpatch", "projection")
            )
        outlyingness = self._outlyingness(reduced.reshape(len(patches), -1, reduced.shape[1])).ravel()
        kept = np.flatnonzero(outlyingness <= np.quantile(outlyingness, 1.0 - self.noise_ratio))
        size = min(coreset_size(len(features), self.coreset_sampling_ratio), len(kept))
        start = int(generator(self.seed, "softpatch", "coreset").integers(len(kept)))
        chosen = kept[greedy_coreset(reduced[kept], size, start=start)] if size < len(kept) else kept
        weights = outlyingness[chosen] if self.soft_weights else np.ones(len(chosen))
        self._set_bank(features[chosen], weights)

    def resource_estimate(self, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
        """Return what a fit on so many images needs; see :class:`pyimgano.core.estimates.Estimable`.

        As PatchCore's. The discrimination is timed at some positions, with as many patches at each as there will be
        images (at most 500; beyond, its time grows with the square).
        """
        from pyimgano.models.estimating import timed
        from pyimgano.models.memory_estimate import estimate_memory

        self.validate()

        def discriminate(patches: np.ndarray) -> float:
            rng = np.random.default_rng(0)
            count, positions = min(n_images, 500), min(8, patches.shape[1])
            narrow = patches.shape[2] if self.projection is None else min(self.projection, patches.shape[2])
            some = patches[rng.integers(len(patches), size=count), :positions, :narrow]
            some = some + rng.standard_normal(some.shape, dtype=np.float32) * (0.1 * float(some.std()) + 1e-6)
            seconds, _ = timed(lambda: self._outlyingness(some))
            return float(seconds * patches.shape[1] / positions * (n_images / count) ** 2)

        return estimate_memory(
            type(self)(**self.get_params()),
            lambda maps: locally_aware_patches(maps, patch_size=self.patch_size),
            sample,
            n_images,
            ratio=float(self.coreset_sampling_ratio),
            projection=self.projection,
            most=1.0 - float(self.noise_ratio),
            row_bytes=8,
            before=discriminate,
        )

    def _outlyingness(self, patches: np.ndarray) -> np.ndarray:
        """Return (N, P) float64 for (N, P, D) patches: how much each sticks out among those of its position."""
        if self.noise_discriminator == "gaussian":
            return gaussian_outlyingness(patches)
        by_position = np.ascontiguousarray(patches.transpose(1, 0, 2))
        if self.noise_discriminator == "nearest":
            return np.stack([nearest_outlyingness(points) for points in by_position], axis=1)
        return np.stack([local_outlier_factors(p, neighbors=self.lof_neighbors) for p in by_position], axis=1)

    def _set_bank(self, bank: np.ndarray, weights: np.ndarray) -> None:
        self.memory_bank_, self.bank_weights_ = bank, weights
        self._neighbors = Neighbors(bank)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        extractor = self.extractor
        patches = locally_aware_patches(extractor.extract(batch), patch_size=self.patch_size)
        distances, nearest = self._neighbors.query(patches.reshape(-1, patches.shape[-1]))
        grids = (distances * self.bank_weights_[nearest]).reshape(patches.shape[:3])
        scores = grids.max(axis=(1, 2))
        return scores, render_maps(grids, extractor.input_size, sigma=self.map_sigma) if maps else None

    def _graph_head(self) -> nn.Module:
        from pyimgano.models.graphs.maps import RenderedMap
        from pyimgano.models.graphs.softpatch import SoftPatchGraph

        renderer = RenderedMap(self._graph_grid(), self.extractor.input_size, sigma=self.map_sigma)
        return SoftPatchGraph(self.memory_bank_, self.bank_weights_, patch_size=self.patch_size, renderer=renderer)

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {"memory_bank": self.memory_bank_, "bank_weights": self.bank_weights_}
        return arrays, {"extractor": self.extractor_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_extractor(facts["extractor"])
        self._set_bank(arrays["memory_bank"], arrays["bank_weights"])
