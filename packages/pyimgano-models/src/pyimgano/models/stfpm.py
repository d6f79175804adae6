"""STFPM: a student that learns a teacher's feature pyramid on good images, and fails where they are not good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

from pyimgano.models.frozen_backbone import FrozenBackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["STFPM"]


class STFPM(FrozenBackboneDetector):
    """Student–teacher feature pyramid matching (Wang et al., BMVC 2021, arXiv 2103.04257).

    A student with the teacher's architecture and random weights is trained to give the teacher's features on good
    images. At each position of three layers, ``½ ‖F_teacher − F_student‖²`` of the normalised features is the loss
    (mean over positions, sum over layers) and, interpolated and multiplied over the layers, the map; its maximum is
    the image's score.

    Parameters
    ----------
    backbone : str
        The teacher, and the student's architecture; see :func:`pyimgano.models.features.create_extractor`. The paper's
        is ``"resnet18"``; the default needs no download.
    layers : sequence of str, optional
        Default: the backbone's last layers of stride 4, 8 and 16, as in the paper.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps.
    epochs : int
        Times that every image is seen.
    learning_rate : float
        Of stochastic gradient descent with momentum 0.9 and weight decay 1e-4.
    seed : int
        Decides the student's first weights and the order of the images.
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
    The mode ``"last-layers"`` of :meth:`trainable` trains what only the student's deepest layer depends on.

    What differs from the paper and its code: the student of the last step is kept, where the paper holds out a fifth
    of the images and keeps the epoch with the least error on them (the workbench's runner stops early); the code's loss
    and map leave out equation 1's factor ½, which is kept here; maps have the input's size, not 64 × 64.
    """

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        epochs: int = 100,
        learning_rate: float = 0.4,
        seed: int = 0,
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 32,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.seed = seed
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""
        from torch.optim import SGD

        return SGD(parameters, lr=float(self.learning_rate), momentum=0.9, weight_decay=1e-4)

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.networks import build_untrained
        from pyimgano.models.student_network import FeaturePyramids

        extractor = self.extractor
        return FeaturePyramids(
            teacher, build_untrained(extractor.backbone, extractor.layers, size=extractor.input_size)
        )

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        product = render(outputs[0], self.extractor.input_size)
        for layer in outputs[1:]:
            product = product * render(layer, self.extractor.input_size)
        return product
