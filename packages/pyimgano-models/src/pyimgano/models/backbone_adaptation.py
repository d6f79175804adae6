"""Adapts a backbone to good images by defects that are synthesised on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

import numpy as np

from pyimgano.models.backbone_detector import BackboneDetector
from pyimgano.models.backbones import resolve_backbone, select_layers
from pyimgano.models.frozen_backbone import FrozenBackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.core.batching import ImageBatches
    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["MODES", "BackboneAdaptation"]

MODES = ("backbone-adapt", "full", "lora")
PRETRAINED = 0.01
"""Learning rate of pretrained weights, relative to that of new ones."""
MEASURED = 32
"""Images that the scale of the layers is measured on, at most."""


class BackboneAdaptation(FrozenBackboneDetector):
    """Trains a backbone so that a head of 1×1 convolutions finds synthetic defects in its features.

    A pretext task in the manner of C.-L. Li et al., *CutPaste* (CVPR 2021, arXiv 2104.04015), at every position instead
    of over the image, and with an anchor to the features that the backbone had (see
    :class:`~pyimgano.models.adaptation_network.AdaptationNetwork`). It is no paper's method, and no registered model: a
    detector with a memory uses it, and takes the adapted weights.

    Parameters
    ----------
    backbone, layers, input_size, weights, device
        See :func:`pyimgano.models.features.create_extractor`.
    learning_rate : float
        Of AdamW with weight decay 1e-4; a hundredth of it for the backbone's own weights, which the head, that begins
        at random, would otherwise drive far off in its first steps.
    epochs : int
        Times that every image is seen, where nobody says otherwise.
    seed : int
        Decides the head's first weights.
    batch_size : int
        Images of a step at most.
    """

    modes = MODES
    learns_from_defects = True

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 224,
        learning_rate: float = 1e-3,
        epochs: int = 10,
        seed: int = 0,
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.seed = seed
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    @classmethod
    def of(cls, detector: BackboneDetector) -> BackboneAdaptation:
        """Return the adaptation of a detector's backbone, from the state that it is in."""
        adaptation = cls(
            detector.backbone,
            select_layers(resolve_backbone(detector.backbone), detector._extracted_layers()),
            input_size=detector.input_size,
            seed=getattr(detector, "seed", 0),
            weights=detector.weights,
            device=detector.device,
            batch_size=detector.batch_size,
        )
        adaptation._adapted = detector._adapted
        return adaptation

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return AdamW with the two learning rates."""
        from torch.optim import AdamW

        from pyimgano.models.adaptation_network import AdaptationNetwork

        network = self._network or self._start()
        assert isinstance(network, AdaptationNetwork)
        groups: list[list[nn.Parameter]] = [[], []]
        for parameter in parameters:
            groups[network.is_pretrained(parameter)].append(parameter)
        rate = float(self.learning_rate)
        found = [{"params": group, "lr": lr} for group, lr in zip(groups, (rate, PRETRAINED * rate)) if group]
        return AdamW(found, weight_decay=1e-4)

    def adapted_arrays(self) -> dict[str, np.ndarray]:
        """Return the backbone's tensors that differ from those of its weights' file, by name."""
        from pyimgano.models.adaptation_network import AdaptationNetwork

        network = self._network
        assert isinstance(network, AdaptationNetwork)
        self._check_weights("after the last step")
        changed = {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.adapted().items()}
        return {**(self._adapted or {}), **changed}

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.adaptation_network import AdaptationNetwork

        extractor = self.extractor
        channels = tuple(extractor.backbone.layer(name).channels for name in extractor.layers)
        return AdaptationNetwork(teacher, channels)

    def _learn_from_images(self, images: ImageBatches) -> None:
        import torch

        from pyimgano.models.adaptation_network import AdaptationNetwork

        network = self._network
        assert isinstance(network, AdaptationNetwork)
        some = np.stack([self.prepare(image) for _, image in zip(range(MEASURED), images.images())])
        assert self._scorer is not None
        network.measure(network.features_of_teacher(torch.from_numpy(some).to(self._scorer.device)))

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        return render(outputs[0], self.extractor.input_size)
