"""SimpleNet: a discriminator that learns to tell good images' features from the same with noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real
from pyimgano.models.frozen_backbone import FrozenBackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["SimpleNet"]


class SimpleNet(FrozenBackboneDetector):
    """SimpleNet (Liu et al., CVPR 2023, arXiv 2303.15140).

    The layers of a frozen backbone, averaged over 3 × 3 neighbourhoods and joined on the grid of the finest, are
    adapted by a 1 × 1 convolution. Gaussian noise on adapted features of good images makes anomalous ones, and a
    discriminator of two layers learns to tell them apart by a truncated L1 loss. Its value at each position,
    interpolated and smoothed, is the map; its maximum before that is the image's score.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The default is the paper's. Its weights are looked for on
        this machine, never downloaded; ``"efficientnet-lite0"`` comes with its own.
    layers : sequence of str, optional
        Default: the backbone's last layers of stride 8 and 16, as in the paper.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps.
    noise_sigma : float
        Standard deviation of the noise. The default is the paper's, for features of the default's scale.
    epochs : int
        Times that every image is seen.
    learning_rate : float
        Of the discriminator; the adaptor's is half of it.
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    seed : int
        Decides the first weights, the order of the images and the noise.
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
    The mode ``"last-layers"`` of :meth:`trainable` trains the discriminator, ``"adapter"`` the feature adaptor under a
    discriminator that stays as it is.

    What differs from the paper's code: the network of the last step is kept, where the code keeps that of the epoch
    with the best result on the test set; neighbourhoods are averaged channel by channel (equations 1 to 3), where the
    code averages neighbouring numbers of the flattened ones, across channels; the whole image is resized to 288, where
    the code resizes to 329 and crops the middle; one AdamW has both groups (their rates and decays are the code's),
    where the code has Adam for the discriminator, whose decay of 1e-5 is not decoupled there; the values have the
    opposite sign, so that higher is more anomalous. The adaptor has a bias, as in the code.
    """

    modes = ("full", "last-layers", "adapter")

    def __init__(
        self,
        backbone: str = "wide_resnet50_2",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 288,
        noise_sigma: float = 0.015,
        epochs: int = 160,
        learning_rate: float = 2e-4,
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
        self.noise_sigma = noise_sigma
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
        require(is_real(self.noise_sigma) and self.noise_sigma > 0.0, "noise_sigma", self.noise_sigma, "above 0")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return AdamW with the paper's rates and decays for parameters that :meth:`trainable` gave."""
        from pyimgano.models.feature_discriminator import adamw

        network = self._network or self._start()
        return adamw(parameters, network.part("adapter"), rate=float(self.learning_rate))

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return None

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.simplenet_network import NoiseDiscriminator

        extractor = self.extractor
        channels = sum(extractor.backbone.layer(name).channels for name in extractor.layers)
        return NoiseDiscriminator(teacher, channels, noise_sigma=float(self.noise_sigma))

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        return render(outputs[0], self.extractor.input_size, sigma=self.map_sigma)

    def _image_scores(self, outputs: Sequence[Tensor], maps: Tensor) -> Tensor:
        return outputs[0].amax(dim=(1, 2))
