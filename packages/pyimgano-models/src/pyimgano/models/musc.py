"""MuSc: unlabelled images score each other; what is normal finds its like in most of them, a defect does not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.errors import DatasetError
from pyimgano.core.parameters import require
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import BackboneDetector, is_real, is_whole
from pyimgano.models.backbones import resolve_backbone, strides_8_and_16
from pyimgano.models.neighbors import GroupNeighbors
from pyimgano.models.patches import locally_aware_patches, unit_vectors
from pyimgano.models.resampling import resampling_matrix

if TYPE_CHECKING:
    from pyimgano.core.batching import ImageBatches

__all__ = ["Musc"]

_KEEP_BYTES = 1 << 30
"""Banks up to this size together are kept from batch to batch; greater ones are made again."""


class Musc(BackboneDetector):
    """MuSc (Li et al., ICLR 2024, arXiv 2401.16753).

    The paper scores a set of unlabelled images, each against all others (transductive). Here ``fit`` takes that set as
    the reference; it needs no labels and may hold defects, as long as most images are good at most places.

    An image is described at several layers and, at each, by means over neighbourhoods of several sizes (LNAMD). Of a
    patch, the distance to the nearest patch of every reference image is taken; the mean over the 30 % of them that are
    lowest is its score (mutual scoring), averaged over layers and sizes. The worst patch's is the image's. It is then
    averaged with those of the images most similar to it, by their similarity (RsCIN).

    **What is transductive and what is not.** An image of the set itself is known by its pixels, as the backbone sees
    them, and scored against the others: ``fit(X)`` then ``infer(X)`` is the paper's method. A new image is scored by
    the same equations against the set, as if it had been in it; but the scores of the set's images, which RsCIN
    averages with, are those that they have without it. So no score depends on what else is scored with it.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The default is the paper's, CLIP's ViT-L/14 at 336.
    layers : sequence of str, optional
        Default: four blocks of a transformer at equal distances, the last one included (5, 11, 17 and 23 of 24), as in
        the paper; of another network the layers of stride 8 and 16.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps; of a transformer, multiples of
        the side of its patches.
    degrees : sequence of int
        ``r`` of LNAMD: odd sides of the neighbourhoods.
    lowest_share : float
        Share of the reference images, those nearest to a patch, that its score is the mean over, in (0, 1]; at least
        one is taken.
    similar_images : sequence of int
        Sizes of the neighbourhoods of RsCIN, the image itself counted; the scores under all are averaged. ``[1]``
        leaves it out.
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    reference_ : dict of str to ndarray
        Layer → (N, C, h, w) float32, normalised, of the reference images.
    reference_embeddings_ : ndarray, (N, D) float32
        Rows of length 1.
    reference_scores_ : ndarray, (N,) float64
        Mutual scores of the reference images, before RsCIN.
    reference_digests_ : list of str
        SHA-256 of the reference images as the backbone sees them.
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    Time grows with the number of reference images and the square of the number of patches; fitting scores every
    reference image. The features of all are kept: 4 bytes times the sum of ``C h w`` over the layers, an image
    (22 MB with the defaults).

    Differences to the authors' code: the similarity of images is that of their last layer's features averaged over
    the image, since feature extractors give maps, where the authors take the class token; scores are not brought to
    0 … 1 before RsCIN, which only scales the result; an image's score is its grid's maximum, not the interpolated
    map's; layers of different grids are scored each on its own, and the scores brought to the finest grid.
    """

    reference_: dict[str, np.ndarray]
    reference_embeddings_: np.ndarray
    reference_scores_: np.ndarray
    reference_digests_: list[str]

    def __init__(
        self,
        backbone: str = "timm/vit_large_patch14_clip_336.openai",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 518,
        degrees: Sequence[int] = (1, 3, 5),
        lowest_share: float = 0.3,
        similar_images: Sequence[int] = (1, 2, 3),
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.degrees = degrees
        self.lowest_share = lowest_share
        self.similar_images = similar_images
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library unless the backbone is a library's."""
        super().validate()
        degrees, sizes, share = self.degrees, self.similar_images, self.lowest_share
        odd = _is_sequence(degrees) and all(is_whole(r, 1) and r % 2 == 1 for r in degrees)
        require(odd, "degrees", degrees, "odd numbers, at least one: [1, 3, 5]")
        require(is_real(share) and 0.0 < share <= 1.0, "lowest_share", share, "above 0, at most 1")
        whole = _is_sequence(sizes) and all(is_whole(k, 1) for k in sizes)
        require(whole, "similar_images", sizes, "whole numbers, at least one, each at least 1: [1, 2, 3]")

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        layers = resolve_backbone(self.backbone).layers
        blocks = [layer.name for layer in layers if layer.name.startswith("blocks.")]
        if layers[-1].name == "norm" and len(blocks) >= 4:
            return tuple(blocks[len(blocks) * quarter // 4 - 1] for quarter in (1, 2, 3, 4))
        return strides_8_and_16(layers) or None

    def _fit(self, images: ImageBatches) -> None:
        if len(images) < 2:
            raise DatasetError("one image has no others to be scored against", allowed="at least two images")
        extractor = self._make_extractor()
        layers: dict[str, np.ndarray] = {}
        embeddings: np.ndarray = np.empty((0, 0), dtype=np.float32)
        digests: list[str] = []
        for batch in images:
            maps = extractor.extract(batch)
            rows = _embeddings(maps)
            if not digests:
                embeddings = np.empty((len(images), rows.shape[1]), dtype=np.float32)
                layers = {n: np.empty((len(images), *m.shape[1:]), dtype=np.float32) for n, m in maps.items()}
            part = slice(len(digests), len(digests) + len(batch))
            embeddings[part] = rows
            for name, kept in layers.items():
                kept[part] = _layer_norm(maps[name])
            digests += [_digest(image) for image in batch]
        self._set_reference(layers, embeddings, digests)
        self.reference_scores_ = self._grids(layers, list(range(len(images)))).max(axis=(1, 2))

    def _set_reference(self, layers: dict[str, np.ndarray], embeddings: np.ndarray, digests: list[str]) -> None:
        self.reference_, self.reference_embeddings_, self.reference_digests_ = layers, embeddings, digests
        self._banks: dict[tuple[str, int], GroupNeighbors] = {}

    def _bank(self, name: str, degree: int) -> GroupNeighbors:
        if (name, degree) in self._banks:
            return self._banks[name, degree]
        bank = GroupNeighbors(_patches(self.reference_[name], degree))
        if 2 * len(self.degrees) * sum(layer.nbytes for layer in self.reference_.values()) <= _KEEP_BYTES:
            self._banks[name, degree] = bank
        return bank

    def _grids(self, layers: dict[str, np.ndarray], itself: Sequence[Optional[int]]) -> np.ndarray:
        """Return the (N, h, w) mutual scores of images.

        Parameters
        ----------
        layers : dict of str to ndarray
            Normalised maps of the images.
        itself : sequence of int or None
            Of each image, the reference image that it is.
        """
        height, width = max((layer.shape[2:] for layer in layers.values()), key=lambda shape: shape[0] * shape[1])
        grids = np.zeros((len(itself), height, width))
        for name, layer in layers.items():
            rows = resampling_matrix(layer.shape[2], height, "bilinear")
            columns = resampling_matrix(layer.shape[3], width, "bilinear").T
            for degree in self.degrees:
                bank = self._bank(name, degree)
                for grid, patches, own in zip(grids, _patches(layer, degree), itself):
                    others = len(bank) - (own is not None)
                    # 0.29 * 100 is 28.999999999999996: rounding must not lose an image.
                    lowest = max(1, int(others * self.lowest_share + 1e-6))
                    scores = bank.query(patches, lowest, without=own).mean(axis=1)
                    grid += np.einsum("ij,jk,kl->il", rows, scores.reshape(layer.shape[2:]), columns)
        grids /= len(layers) * len(self.degrees)
        return grids

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        extractor = self.extractor
        features = extractor.extract(batch)
        itself = [self._known(image) for image in batch]
        grids = self._grids({name: _layer_norm(layer) for name, layer in features.items()}, itself)
        alone = grids.max(axis=(1, 2))
        scores = [self._among_similar(*image) for image in zip(alone, _embeddings(features), itself)]
        return np.array(scores), render_maps(grids, extractor.input_size, sigma=0.0) if maps else None

    def _known(self, image: np.ndarray) -> Optional[int]:
        digest = _digest(image)
        return self.reference_digests_.index(digest) if digest in self.reference_digests_ else None

    def _among_similar(self, score: float, embedding: np.ndarray, own: Optional[int]) -> float:
        """Return RsCIN's score: the mean, over neighbourhoods, of the neighbours' scores weighted by similarity."""
        similarity = np.einsum("nd,d->n", self.reference_embeddings_, embedding, dtype=np.float64)
        scores = self.reference_scores_
        if own is not None:
            similarity, scores = np.delete(similarity, own), np.delete(scores, own)
        nearest = np.argsort(-similarity, kind="stable")
        similarity = np.concatenate([[1.0], similarity[nearest]])
        scores = np.concatenate([[score], scores[nearest]])
        sizes = [min(size, len(scores)) for size in self.similar_images]
        return float(np.mean([np.average(scores[:size], weights=similarity[:size]) for size in sizes]))

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {f"reference.{name}": layer for name, layer in self.reference_.items()}
        arrays["embeddings"], arrays["scores"] = self.reference_embeddings_, self.reference_scores_
        return arrays, {"extractor": self.extractor_facts_, "digests": self.reference_digests_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_extractor(facts["extractor"])
        layers = {name: arrays[f"reference.{name}"] for name in facts["extractor"]["layers"]}
        self._set_reference(layers, arrays["embeddings"], [str(digest) for digest in facts["digests"]])
        self.reference_scores_ = arrays["scores"]


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _embeddings(maps: dict[str, np.ndarray]) -> np.ndarray:
    """Return the last layer averaged over each image, of length 1: (N, C) float32."""
    last = list(maps.values())[-1]
    return unit_vectors(last.mean(axis=(2, 3), dtype=np.float64))


def _layer_norm(layer: np.ndarray) -> np.ndarray:
    """Return (N, C, h, w) float32 maps, each of mean 0 and variance 1 over channels and positions."""
    normalised = np.empty(layer.shape, dtype=np.float32)
    for image, out in zip(layer, normalised):
        mean, variance = image.mean(dtype=np.float64), image.var(dtype=np.float64)
        out[...] = (image - mean) / np.sqrt(variance + 1e-5)
    return normalised


def _patches(layer: np.ndarray, degree: int) -> np.ndarray:
    """Return (N, P, C) float32: means over neighbourhoods of ``degree`` × ``degree``, of length 1."""
    patches = locally_aware_patches({"layer": layer}, patch_size=degree)
    count, height, width, channels = patches.shape
    return unit_vectors(patches.reshape(-1, channels)).reshape(count, height * width, channels)
