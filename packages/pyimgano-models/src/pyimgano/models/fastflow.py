"""FastFlow: two-dimensional normalising flows that learn how likely the features of good images are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.frozen_backbone import FrozenBackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["FastFlow"]

CONVOLUTIONAL = (8, 1.0)
TRANSFORMER = (20, 0.16)
"""Steps and hidden ratio of the paper's tables for the two kinds of backbone."""


class FastFlow(FrozenBackboneDetector):
    """Unsupervised anomaly detection by two-dimensional normalising flows (Yu et al., 2021, arXiv 2111.07677).

    The features of each layer of a frozen backbone are normalised and mapped, one to one, to ``z`` of the same shape by
    a flow of coupling blocks whose subnets are two convolutions, so that position is kept. The flows are trained to
    make ``z`` of good images a standard normal: the loss is ``½ ‖z‖² − log |det ∂z/∂x|``. A position's score in a layer
    is ``−exp(−½ · mean over the channels of z²)``; the layers' maps are interpolated and averaged, and the map's
    maximum is the image's score, −1 … 0.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The default is one of the paper's. Its weights are looked
        for on this machine, never downloaded; ``"efficientnet-lite0"`` comes with its own.
    layers : sequence of str, optional
        Default: the backbone's last layers of stride 4, 8 and 16, as in the paper. A transformer's must be named; the
        paper takes one: ``"blocks.7"`` of ``"timm/deit_base_distilled_patch16_384"``.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps. The paper's transformers see 384
        or 448 pixels.
    flow_steps : int, optional
        Coupling blocks of each flow. Default: 8 for convolutional backbones, 20 for plain transformers, as in the
        paper.
    hidden_ratio : float, optional
        Hidden channels of a block's two convolutions, relative to their inputs. Default: 1.0 for convolutional
        backbones, 0.16 for plain transformers, as in the paper.
    conv3x3_only : bool
        Whether all blocks have 3 × 3 convolutions, as the paper has it for ResNet-18; else every second one has 1 × 1.
    epochs : int
        Times that every image is seen.
    learning_rate : float
        Of Adam with weight decay 1e-5.
    seed : int
        Decides the first weights, the permutations of the channels, and the order of the images.
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
        :class:`~pyimgano.models.backbone_detector.BackboneDetector`. The loss is a negative log-density: it may be
        negative.

    Notes
    -----
    The mode ``"last-layers"`` of :meth:`trainable` trains the last quarter of each flow's blocks.

    The authors published no code. What the paper leaves open is that of the public implementation that reaches its
    figures: the features of convolutional networks are brought to mean 0 and variance 1 over a whole image, with a
    scale and an offset of every entry that are learned; the first block has 3 × 3 convolutions; the score takes ``z``
    alone, not the determinant. It differs in two things:

    - The loss here counts the determinant of those learned scales. Without it the likelihood is not one of the
      normalised features, and grows without bound while the scales shrink and the flow makes up for it.
    - A transformer's tokens are brought to mean 0 and variance 1 at each position without scale and offset, where that
      implementation applies the transformer's own last normalisation, which differs by a constant scale and offset of
      each channel.
    """

    def __init__(
        self,
        backbone: str = "wide_resnet50_2",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        flow_steps: Optional[int] = None,
        hidden_ratio: Optional[float] = None,
        conv3x3_only: bool = False,
        epochs: int = 500,
        learning_rate: float = 1e-3,
        seed: int = 0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 32,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.flow_steps = flow_steps
        self.hidden_ratio = hidden_ratio
        self.conv3x3_only = conv3x3_only
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
        steps, ratio = self.flow_steps, self.hidden_ratio
        require(
            steps is None or is_whole(steps, 1), "flow_steps", steps, "a whole number, at least 1, or null: the paper's"
        )
        require(
            ratio is None or (is_real(ratio) and ratio > 0.0), "hidden_ratio", ratio, "above 0, or null: the paper's"
        )
        require(isinstance(self.conv3x3_only, bool), "conv3x3_only", self.conv3x3_only, "true, false")

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""
        from torch.optim import Adam

        return Adam(parameters, lr=float(self.learning_rate), weight_decay=1e-5, fused=True)

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.fastflow_network import FastFlows
        from pyimgano.models.feature_shapes import feature_shapes

        extractor = self.extractor
        transformer = extractor.backbone.side_multiple > 1  # its images are cut into patches
        steps, ratio = TRANSFORMER if transformer else CONVOLUTIONAL
        return FastFlows(
            teacher,
            feature_shapes(teacher, extractor.input_size),
            steps=steps if self.flow_steps is None else int(self.flow_steps),
            hidden_ratio=ratio if self.hidden_ratio is None else float(self.hidden_ratio),
            conv3x3_only=self.conv3x3_only,
            learned_norm=not transformer,
        )

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        total = render(outputs[0], self.extractor.input_size)
        for layer in outputs[1:]:
            total = total + render(layer, self.extractor.input_size)
        return total / len(outputs)
