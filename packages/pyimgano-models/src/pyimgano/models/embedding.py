"""Deep features as vectors: a backbone's layers pooled over an image, or one vector a patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.isolation_forest import POOLINGS, pool_features
from pyimgano.models.patches import locally_aware_patches

if TYPE_CHECKING:
    from pyimgano.core.contracts import FeatureExtractor
    from pyimgano.models.backbone_extractor import BackboneExtractor

__all__ = ["Embedding", "ExtractorFeatures"]


class ExtractorFeatures:
    """Any :class:`~pyimgano.core.contracts.FeatureExtractor` as features of images and of patches.

    Parameters
    ----------
    extractor : FeatureExtractor
        Images are resized to its ``input_size``.
    pooling : {"mean+std", "mean", "std"}
        What is kept of each channel of an image.
    patch_size : int
        Odd side of the neighbourhood that a patch's features are averaged over.
    """

    name = "extractor"
    version = 1
    dimension: Optional[int] = None

    def __init__(self, extractor: FeatureExtractor, pooling: str = "mean+std", patch_size: int = 3) -> None:
        self._given = extractor
        self.pooling = pooling
        self.patch_size = patch_size

    def _extractor(self, size: tuple[int, int]) -> Any:
        """Return the extractor for images of a size."""
        return self._given

    def _maps(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        extractor = self._extractor((batch[0].shape[0], batch[0].shape[1]))
        maps: dict[str, np.ndarray] = extractor.extract([extractor.prepare(image) for image in batch])
        return maps

    def describe_batch(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the pooled features of images of one size, (N, D) float32; a row depends on its image alone."""
        maps = list(self._maps(batch).values())
        rows = [pool_features([layer[index] for layer in maps], self.pooling) for index in range(len(batch))]
        return np.stack(rows).astype(np.float32)

    def describe_patches_batch(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the patch features of images of one size, (N, h, w, D) float32."""
        return locally_aware_patches(self._maps(batch), patch_size=self.patch_size)

    @property
    def facts(self) -> dict[str, Any]:
        """All that decides the features, as far as the extractor tells it."""
        own = {"name": self.name, "version": self.version, "pooling": self.pooling, "patch_size": self.patch_size}
        extractor = getattr(self._given, "facts", None) or {"layers": list(self._given.layers)}
        return {**own, "extractor": _identity(extractor)}


class Embedding(ExtractorFeatures):
    """The features ``embedding``: any backbone, at the size that the images come in.

    Parameters
    ----------
    backbone, layers, runtime, weights, device
        See :func:`pyimgano.models.features.create_extractor`.
    pooling : {"mean+std", "mean", "std"}
        What is kept of each channel of an image.
    patch_size : int
        Odd side of the neighbourhood that a patch's features are averaged over.
    """

    name = "embedding"

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        pooling: str = "mean+std",
        patch_size: int = 3,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
    ) -> None:
        where = "features 'embedding'"
        require(pooling in POOLINGS, "pooling", pooling, ", ".join(POOLINGS), where=where)
        odd = isinstance(patch_size, int) and 1 <= patch_size <= 15 and patch_size % 2 == 1
        require(odd, "patch_size", patch_size, "an odd number, 1 to 15", where=where)
        self.backbone = backbone
        self.layers = layers
        self.pooling = pooling
        self.patch_size = patch_size
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self._made: Optional[BackboneExtractor] = None

    def _extractor(self, size: tuple[int, int]) -> Any:
        from pyimgano.models.features import create_extractor

        if self._made is None or self._made.input_size != tuple(size):
            self._made = create_extractor(
                self.backbone,
                layers=self.layers,
                input_size=tuple(size),
                runtime=self.runtime,
                weights=self.weights,
                device=self.device,
            )
        return self._made

    @property
    def facts(self) -> dict[str, Any]:
        """All that decides the features; with the checksum of the weights, which are looked up for it."""
        from pyimgano.models.backbones import resolve_backbone, select_layers
        from pyimgano.models.weights import find_weights

        described = resolve_backbone(self.backbone)
        weights = find_weights(described, self.weights)
        sha256 = weights.sha256
        if sha256 is None:  # random weights, or a library's own: only the network tells
            sha256 = self._extractor((224, 224) if self._made is None else self._made.input_size).weights_sha256
        return {
            "name": self.name,
            "version": self.version,
            "pooling": self.pooling,
            "patch_size": self.patch_size,
            "extractor": {
                "backbone": described.name,
                "layers": list(select_layers(described, self.layers)),
                "weights_sha256": sha256,
            },
        }


def _identity(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what of an extractor's facts decides the features, beyond rounding."""
    return {k: v for k, v in facts.items() if k not in ("runtime", "device", "weights", "warning")}
