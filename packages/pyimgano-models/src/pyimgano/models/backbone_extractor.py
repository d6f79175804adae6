"""The feature extractor that a backbone, its weights and a runtime make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from pyimgano.core.resizing import check_prepared, resize_image
from pyimgano.models.backbones import Backbone
from pyimgano.models.runtimes import Runtime
from pyimgano.models.weights import RANDOM_WARNING, Weights

__all__ = ["BackboneExtractor"]


class BackboneExtractor:
    """A :class:`~pyimgano.core.contracts.FeatureExtractor`; made by :func:`~pyimgano.models.features.create_extractor`.

    Attributes
    ----------
    layers : tuple of str
        In the order of the network, the finest first.
    input_size : (int, int)
        (height, width) of prepared images.
    weights_sha256 : str
        Of the weights file; of the parameters themselves when they are random.
    facts : dict
        JSON-friendly: ``backbone``, ``layers``, ``input_size``, ``runtime``, ``device``, ``weights``,
        ``weights_sha256``, ``random`` and, when random, ``warning``; ``adapted_sha256`` of tensors that replace those
        of the weights.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: tuple[str, ...],
        input_size: tuple[int, int],
        weights: Weights,
        weights_sha256: str,
        runtime: Runtime,
        *,
        adapted_sha256: Optional[str] = None,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.weights_sha256 = weights_sha256
        self.runtime = runtime
        self.facts: dict[str, Any] = {
            "backbone": backbone.name,
            "layers": list(layers),
            "input_size": list(input_size),
            "runtime": runtime.name,
            "device": runtime.device,
            "weights": weights.name,
            "weights_sha256": weights_sha256,
            "random": weights.path is None,
        }
        if weights.path is None:
            self.facts["warning"] = RANDOM_WARNING
        if adapted_sha256 is not None:
            self.facts["adapted_sha256"] = adapted_sha256

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one image to ``input_size``; an image that has it is returned as it is.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            RGB.

        Returns
        -------
        ndarray, (h, w, 3) uint8
        """
        return resize_image(image, self.input_size)

    def extract(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return the features of prepared images; an image's features do not depend on the rest of the batch.

        Parameters
        ----------
        batch : sequence of ndarray, (h, w, 3) uint8
            See :meth:`prepare`.

        Returns
        -------
        dict of str to ndarray
            Layer → (N, C, h', w') float32.

        Raises
        ------
        ImageError
            When an image is not prepared, or the batch is empty.
        """
        check_prepared(batch, self.input_size)
        per_image = self.runtime.run([np.ascontiguousarray(image) for image in batch])
        return {layer: np.concatenate(maps) for layer, maps in zip(self.layers, zip(*per_image))}
