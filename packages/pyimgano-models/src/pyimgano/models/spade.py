"""SPADE: the most similar good images are retrieved, and every position is sought among their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.backbones import pyramid_layers, resolve_backbone, select_layers
from pyimgano.models.exported_backbone import ExportedBackbone
from pyimgano.models.neighbors import Neighbors
from pyimgano.models.patches import locally_aware_patches

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.core.batching import ImageBatches

__all__ = ["Spade"]


class Spade(ExportedBackbone):
    """SPADE (Cohen & Hoshen 2020, arXiv 2005.02357).

    An image's score is the mean squared distance of its pooled features to those of the ``n_images`` nearest good
    images (equation 2 of the paper). A position's score is the mean squared distance of its features to the
    ``n_patches`` nearest ones among all positions of these images (equation 3); its features are those of a pyramid
    of layers side by side.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The paper's is ``"wide_resnet50_2"``.
    layers : sequence of str, optional
        The pyramid. Default: the backbone's last layers of stride 4, 8 and 16, as in the paper.
    retrieval_layer : str, optional
        Whose features, averaged over the image, are compared to retrieve images. Default: the backbone's last.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps.
    n_images : int
        ``K`` of the paper: images retrieved; all when the detector was fitted on fewer.
    n_patches : int
        ``κ`` of the paper: nearest features of a position.
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    pooled_ : ndarray, (N, D) float32
        Of the good images.
    pyramid_ : dict of str to ndarray
        Layer → (N, C, h, w) float32, the features of all good images.
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    The features of all good images are kept: 4 bytes times the sum of ``C h w`` over the layers, an image (0.5 MB with
    the defaults, 5.6 MB with a Wide ResNet-50). They are brought to one grid when an image is retrieved.

    A map takes ``n_images`` · (h w)² · D multiplications, where h, w are the finest layer's: a second or more an image
    on a CPU. Image scores alone (``decision_function``) take no more than the backbone.

    The paper scales images to 256 pixels and takes the middle 224; here the whole image is scaled to ``input_size``.
    """

    pooled_: np.ndarray
    pyramid_: dict[str, np.ndarray]

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        retrieval_layer: Optional[str] = None,
        input_size: Union[int, Sequence[int]] = 224,
        n_images: int = 50,
        n_patches: int = 1,
        map_sigma: float = 4.0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.retrieval_layer = retrieval_layer
        self.input_size = input_size
        self.n_images = n_images
        self.n_patches = n_patches
        self.map_sigma = map_sigma
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        require(is_whole(self.n_images, 1), "n_images", self.n_images, "a whole number, at least 1")
        require(is_whole(self.n_patches, 1), "n_patches", self.n_patches, "a whole number, at least 1")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")
        layer = self.retrieval_layer
        require(layer is None or isinstance(layer, str), "retrieval_layer", layer, "the name of a layer, or null")

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return pyramid_layers(resolve_backbone(self.backbone))

    def _extracted_layers(self) -> Sequence[str]:
        pyramid, retrieval = self._two_stages()
        return list(dict.fromkeys([*pyramid, retrieval]))

    def _two_stages(self) -> tuple[tuple[str, ...], str]:
        """Return the layers of the pyramid and the one for retrieval."""
        described = resolve_backbone(self.backbone)
        pyramid = select_layers(described, self._default_layers() if self.layers is None else self.layers)
        retrieval = described.layers[-1].name if self.retrieval_layer is None else self.retrieval_layer
        return pyramid, select_layers(described, [retrieval])[0]

    def _fit(self, images: ImageBatches) -> None:
        extractor = self._make_extractor()
        self._pyramid, self._retrieval = self._two_stages()
        pooled: np.ndarray = np.empty((0, 0), dtype=np.float32)
        pyramid: dict[str, np.ndarray] = {}
        filled = 0
        for batch in images:
            maps = extractor.extract(batch)
            rows = self._pool(maps)
            if filled == 0:
                pooled = np.empty((len(images), rows.shape[1]), dtype=np.float32)
                shapes = {name: maps[name].shape[1:] for name in self._pyramid}
                pyramid = {name: np.empty((len(images), *s), dtype=np.float32) for name, s in shapes.items()}
            part = slice(filled, filled + len(rows))
            pooled[part] = rows
            for name, kept in pyramid.items():
                kept[part] = maps[name]
            filled += len(rows)
        positions = max(layer.shape[2] * layer.shape[3] for layer in pyramid.values())
        gallery = min(self.n_images, len(images)) * positions
        if self.n_patches > gallery:
            raise ParameterError(
                f"n_patches = {self.n_patches}, and the images retrieved have {gallery} positions together",
                allowed=f"1 to {gallery}",
            )
        self._set_memory(pooled, pyramid)

    def _pool(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        pooled: np.ndarray = maps[self._retrieval].mean(axis=(2, 3), dtype=np.float64).astype(np.float32)
        return pooled

    def _set_memory(self, pooled: np.ndarray, pyramid: dict[str, np.ndarray]) -> None:
        self.pooled_, self.pyramid_ = pooled, pyramid
        self._retriever = Neighbors(pooled)

    def _patches(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        return locally_aware_patches({name: maps[name] for name in self._pyramid}, patch_size=1)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        extractor = self.extractor
        features = extractor.extract(batch)
        distances, nearest = self._retriever.query(self._pool(features), min(self.n_images, len(self._retriever)))
        scores = (distances**2).mean(axis=1)
        if not maps:
            return scores, None
        grids = np.stack([self._grid(patches, n) for patches, n in zip(self._patches(features), nearest)])
        return scores, render_maps(grids, extractor.input_size, sigma=self.map_sigma)

    def _grid(self, patches: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return an image's (h, w) position scores, given its (h, w, D) features and the images retrieved."""
        images = np.sort(images)
        gallery = self._patches({name: layer[images] for name, layer in self.pyramid_.items()})
        dimension = gallery.shape[-1]
        neighbors = Neighbors(gallery.reshape(-1, dimension))
        distances, _ = neighbors.query(patches.reshape(-1, dimension), self.n_patches)
        scores: np.ndarray = (distances**2).mean(axis=1).reshape(patches.shape[:2])
        return scores

    def _graph_head(self) -> nn.Module:
        from pyimgano.models.graphs.maps import RenderedMap
        from pyimgano.models.graphs.spade import SpadeGraph

        height, width = max((k.shape[2:] for k in self.pyramid_.values()), key=lambda shape: shape[0] * shape[1])
        return SpadeGraph(
            self.pooled_,
            self.pyramid_,
            layers=self.extractor.layers,
            retrieval=self._retrieval,
            n_images=min(self.n_images, len(self.pooled_)),
            n_patches=self.n_patches,
            renderer=RenderedMap((height, width), self.extractor.input_size, sigma=self.map_sigma),
        )

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {f"pyramid.{name}": layer for name, layer in self.pyramid_.items()}
        return {"pooled": self.pooled_, **arrays}, {"extractor": self.extractor_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_extractor(facts["extractor"])
        self._pyramid, self._retrieval = self._two_stages()
        self._set_memory(arrays["pooled"], {name: arrays[f"pyramid.{name}"] for name in self._pyramid})
