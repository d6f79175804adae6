"""CFLOW: normalising flows that learn how likely a feature vector of a good image is at its position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_whole
from pyimgano.models.backbones import pyramid_layers, resolve_backbone
from pyimgano.models.frozen_backbone import FrozenBackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.core.batching import ImageBatches
    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["CFlow"]

META_EPOCHS, WARM_UP = 25, 2
LOWEST_RATE = 1e-3
"""The paper's code changes the rate 25 times in a training, warms up for two of these, and ends at this share of it."""


class CFlow(FrozenBackboneDetector):
    """Unsupervised anomaly detection via conditional normalising flows (Gudovskiy et al., WACV 2022, arXiv 2107.12571).

    On each layer of a frozen backbone, a decoder maps the feature vector of a position, one to one, to ``z`` of the
    same length: a flow of coupling blocks whose subnets are also given an encoding of the position. It is trained to
    make ``z`` of good images a standard normal. With ``ℓ`` the log-likelihood of a vector divided by its length, the
    loss is ``−log sigmoid(ℓ)``. A map adds up ``exp(ℓ − ℓ*)`` of the layers, interpolated, and subtracts the sum from
    the number of layers; ``ℓ*`` is a layer's greatest ``ℓ`` among good images. The map's maximum is the image's score.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The default is the paper's. Its weights are looked for on
        this machine, never downloaded; ``"efficientnet-lite0"`` comes with its own.
    layers : sequence of str, optional
        Default: the backbone's last layers of stride 8, 16 and 32, as in the paper's code.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps.
    coupling_blocks : int
        Of each decoder.
    fibres : int
        Feature vectors per layer that a training step draws from the positions of its images.
    epochs : int
        Times that every image is seen; 200 are the paper's 25 times 8.
    learning_rate : float
        Of Adam, at its highest; see :meth:`learning_rate_factor`.
    seed : int
        Decides the first weights, the permutations of the channels, the order of the images and the positions drawn.
    runtime : {"auto", "onnxruntime", "torch"}
        Of the backbone when it scores; training takes torch. ``"auto"``: onnxruntime where it is installed, the device
        is the CPU and the weights are not random, else torch. Scores agree to about 1e-5.
    weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images of a training step at most; changes no score of a fitted detector.

    Attributes
    ----------
    losses_, extractor_facts_
        See :class:`~pyimgano.models.trained.TrainedDetector` and
        :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    The mode ``"last-layers"`` of :meth:`trainable` trains the last quarter of each decoder's blocks.

    What differs from the paper and its code:

    - There, the features of 32 images are cut into sets of 256 vectors, and the decoder of a layer takes a step on each
      set: 128 steps on the finest layer, 8 on the coarsest. A step here is one of all decoders, which share no
      parameter, each on one set of 256 vectors drawn at random. So that a set may be as good as the paper's without the
      backbone's work on vectors that are not drawn, a step takes 4 images: at 256 pixels they have 256 positions in the
      coarsest layer, which is seen whole in every epoch, as there, in as many steps; the layers before it are seen by
      a quarter and a sixteenth. More ``epochs`` or ``fibres`` make up for that where it matters.
    - There, ``ℓ*`` is the greatest ``ℓ`` among the images that are tested, whose scores then depend on each other, and
      the sum is subtracted from the greatest sum among them. Here ``ℓ*`` is learned when the training ends, from good
      images that were held out, or else from those of the training, and the sum is subtracted from its value where
      every layer has its ``ℓ*``. A map may be below 0 where an image is likelier than any of these.
    - The channels are permuted between the blocks, as the paper has it; the code rotates them by random orthogonal
      matrices, which take as many multiplications as half a subnet.
    """

    def __init__(
        self,
        backbone: str = "wide_resnet50_2",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        coupling_blocks: int = 8,
        fibres: int = 256,
        epochs: int = 200,
        learning_rate: float = 2e-4,
        seed: int = 0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 4,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.coupling_blocks = coupling_blocks
        self.fibres = fibres
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.seed = seed
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        for name in ("coupling_blocks", "fibres"):
            require(is_whole(getattr(self, name), 1), name, getattr(self, name), "a whole number, at least 1")

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""
        from torch.optim import Adam

        return Adam(parameters, lr=float(self.learning_rate), fused=True)

    def learning_rate_factor(self, done: float) -> float:
        """Return the schedule of the paper's code: a linear warm-up, then a cosine in steps; see the base class.

        The training is cut into 25 parts. In the first two the factor rises linearly from 0.1 to what the cosine gives
        at their end; the part ``k`` (from 0) of the others has ``0.001 + 0.999 · (1 + cos(π k / 25)) / 2``.
        """
        part = done * META_EPOCHS
        if part < WARM_UP:
            return 0.1 + part / WARM_UP * (_cosine(WARM_UP) - 0.1)
        return _cosine(int(part))

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return pyramid_layers(resolve_backbone(self.backbone), (8, 16, 32))

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.cflow_network import ConditionalFlows
        from pyimgano.models.feature_shapes import feature_shapes

        shapes = feature_shapes(teacher, self.extractor.input_size)
        return ConditionalFlows(teacher, shapes, coupling_blocks=int(self.coupling_blocks), fibres=int(self.fibres))

    def _learn_from_held_out(self, images: ImageBatches) -> None:
        import torch

        assert self._scorer is not None
        found = [[layer.max() for layer in maps] for batch in images for maps in self._scorer.run(batch)]
        self._peaks.copy_(torch.from_numpy(np.max(found, axis=0)))

    @property
    def _peaks(self) -> Tensor:
        assert self._network is not None
        peaks: Tensor = self._network.trained.get_buffer("peaks.log_likelihood")
        return peaks

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        size = self.extractor.input_size
        likelihoods = [(layer - peak).exp() for layer, peak in zip(outputs, self._peaks.tolist())]
        total = render(likelihoods[0], size, interpolation="bilinear-corners")
        for layer in likelihoods[1:]:
            total = total + render(layer, size, interpolation="bilinear-corners")
        return len(outputs) - total


def _cosine(part: int) -> float:
    return LOWEST_RATE + (1.0 - LOWEST_RATE) * 0.5 * (1.0 + math.cos(math.pi * part / META_EPOCHS))
