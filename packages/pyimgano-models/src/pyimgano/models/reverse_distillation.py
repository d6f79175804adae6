"""Reverse distillation: a decoder that gives a teacher's features back from a bottleneck fitted to good images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

from pyimgano.core.errors import ParameterError
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real
from pyimgano.models.backbones import resolve_backbone, select_layers
from pyimgano.models.frozen_backbone import FrozenBackboneDetector
from pyimgano.models.resizing import check_size

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["ReverseDistillation"]


class ReverseDistillation(FrozenBackboneDetector):
    """Anomaly detection via reverse distillation (Deng & Li, CVPR 2022, arXiv 2201.10703).

    The features of three layers of a teacher are fused and embedded into a bottleneck, from which a decoder, the
    teacher mirrored, gives them back, the coarsest first. Trained on good images, it cannot give back what no good
    image has. A position's score is 1 − the cosine similarity of the teacher's and the decoder's features there,
    interpolated, summed over the layers and smoothed; the map's maximum is the image's score.

    Parameters
    ----------
    backbone : str
        The teacher; see :func:`pyimgano.models.features.create_extractor`. The default is the paper's. Its weights are
        looked for on this machine, never downloaded; ``"efficientnet-lite0"`` comes with its own.
    layers : sequence of str, optional
        Three, each of half the resolution of the one before. Default: the backbone's last layers of stride 4, 8
        and 16, as in the paper.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps: multiples of twice the coarsest
        layer's stride (32), at least twice that.
    epochs : int
        Times that every image is seen.
    learning_rate : float
        Of Adam with β = (0.5, 0.999).
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    seed : int
        Decides the first weights and the order of the images.
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
    The mode ``"last-layers"`` of :meth:`trainable` trains the decoder's last stage, which gives the finest layer,
    ``"adapter"`` the bottleneck's embedding, which stands between the teacher and a decoder that stays as it is.

    The loss is that of the paper's code: 1 − the cosine similarity of whole layers, flattened, where equation 2
    averages over positions. With torchvision's and timm's ResNets, embedding and decoder are the code's (its residual
    blocks are plain; the attention in their names is switched off there). The paper mirrors no other network: for any
    other backbone the decoder has two basic ResNet blocks per layer with that layer's channels, without the last ReLU,
    since its features may be negative (EfficientNet-Lite0's are).
    """

    modes = ("full", "last-layers", "adapter", "lora")

    def __init__(
        self,
        backbone: str = "wide_resnet50_2",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        epochs: int = 200,
        learning_rate: float = 0.005,
        map_sigma: float = 4.0,
        seed: int = 0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 16,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.map_sigma = map_sigma
        self.seed = seed
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")
        described = resolve_backbone(self.backbone)
        layers = [described.layer(name) for name in select_layers(described, self.layers or self._default_layers())]
        strides = [layer.stride for layer in layers]
        halving = len(strides) == 3 and strides[1] == 2 * strides[0] and strides[2] == 2 * strides[1]
        if not halving:
            raise ParameterError(
                f"layers = {[layer.name for layer in layers]!r} of strides {strides}",
                where="layers",
                allowed="three layers, each of twice the stride of the one before: "
                + ", ".join(f"{layer.name} (stride {layer.stride})" for layer in described.layers),
            )
        unit = 2 * strides[2]
        size = check_size(self.input_size, minimum=2 * unit)
        fits = all(side % unit == 0 for side in size)
        require(fits, "input_size", self.input_size, f"multiples of {unit}, since the decoder doubles its resolution")

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""
        from torch.optim import Adam

        return Adam(parameters, lr=float(self.learning_rate), betas=(0.5, 0.999))

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.reverse_network import ReverseDecoder, decoder_plan

        extractor = self.extractor
        return ReverseDecoder(teacher, decoder_plan(extractor.backbone, extractor.layers))

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        # Smoothing is linear: the sum of the smoothed layers is the smoothed sum.
        size, sigma = self.extractor.input_size, self.map_sigma
        total = render(outputs[0], size, sigma=sigma, interpolation="bilinear-corners")
        for layer in outputs[1:]:
            total = total + render(layer, size, sigma=sigma, interpolation="bilinear-corners")
        return total
