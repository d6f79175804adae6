"""DRÆM: a network that takes drawn defects out of an image, and one that tells where it did."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.parameters import require
from pyimgano.core.resizing import resize_image
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.resizing import check_size
from pyimgano.models.trained import TrainedDetector

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.core.batching import ImageBatches
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["Draem"]

logger = logging.getLogger(__name__)


class Draem(TrainedDetector):
    """DRÆM, a discriminatively trained reconstruction embedding (Zavrtanik et al., ICCV 2021, arXiv 2108.07610).

    Good images get synthetic defects: regions of Perlin noise in which another texture shines through. A network is
    trained to give the images back without them, a second one, which sees the image and what the first made of it, to
    tell where they were. The second's probability of a defect is the map; the greatest mean of it over 21 × 21 pixels
    is the image's score. There is no backbone, and nothing is pretrained.

    Parameters
    ----------
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps: multiples of 32,
        at least 64.
    anomaly_source_dir : str, optional
        Folder of images of textures, in it or below, to draw defects with; the paper's is that of the Describable
        Textures Dataset (DTD). Read while training, needed for nothing else. Without it a defect's texture is the
        training image itself, shifted cyclically and mirrored by lot. Either gets three random changes of colours or
        direction.
    opacity : (float, float)
        Range of a defect's opacity, the paper's β.
    rotation : float
        Three in ten training images are turned by up to so many degrees; 0: none, for parts that always lie alike.
    reconstruction_width, segmentation_width : int
        Channels of the two networks at full resolution; the others are multiples of them.
    epochs : int
        Times that every image is seen.
    learning_rate : float
        Of Adam; a fifth of it after 80 % of the steps, a twenty-fifth after 90 %.
    seed : int
        Decides the first weights, the order of the images and the defects.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.
    batch_size : int
        Images of a training step at most; changes no score of a fitted detector.

    Attributes
    ----------
    losses_
        See :class:`~pyimgano.models.trained.TrainedDetector`.

    Notes
    -----
    The mode ``"last-layers"`` of :meth:`trainable` trains the second network's layers at full resolution behind its
    bottleneck, and with them the output.

    Paper and code differ in places. From the code are: the threshold 0.5 of the noise (the paper's is random), the
    share of turned images (their angles, ±45°, are the paper's; the code's ±90°), the half of the images that stay
    good, the weights' first values, no bias before a normalisation (which cancels it), and the loss, the plain sum of
    the mean squared error, 1 − SSIM and the focal loss with equal classes. From the paper is the range of β; the code's
    opacities are 0.2 … 1. What differs from both: SSIM mirrors the images at their border, where the code pads them
    with zeros, and the textures without a folder: the paper has no such case.
    """

    modes = ("full", "last-layers")
    _loaded_on: Optional[str] = None

    def __init__(
        self,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        anomaly_source_dir: Optional[str] = None,
        opacity: Sequence[float] = (0.1, 1.0),
        rotation: float = 45.0,
        reconstruction_width: int = 128,
        segmentation_width: int = 64,
        epochs: int = 700,
        learning_rate: float = 1e-4,
        seed: int = 0,
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.input_size = input_size
        self.anomaly_source_dir = anomaly_source_dir
        self.opacity = opacity
        self.rotation = rotation
        self.reconstruction_width = reconstruction_width
        self.segmentation_width = segmentation_width
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.seed = seed
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        size = check_size(self.input_size, minimum=64)
        fits = all(side % 32 == 0 for side in size)
        require(fits, "input_size", self.input_size, "multiples of 32, since the networks halve their resolution")
        source = self.anomaly_source_dir
        require(
            source is None or isinstance(source, str), "anomaly_source_dir", source, "a folder of images, or nothing"
        )
        ends = tuple(self.opacity) if isinstance(self.opacity, (list, tuple)) else ()
        ordered = len(ends) == 2 and all(is_real(end) for end in ends) and 0.0 < ends[0] <= ends[1] <= 1.0
        require(ordered, "opacity", self.opacity, "[least, greatest], above 0 and at most 1")
        in_range = is_real(self.rotation) and 0.0 <= self.rotation <= 180.0
        require(in_range, "rotation", self.rotation, "degrees, 0 to 180")
        for name in ("reconstruction_width", "segmentation_width", "batch_size"):
            require(is_whole(getattr(self, name), 1), name, getattr(self, name), "a whole number, at least 1")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 (H, W, 3) image to the size that the networks see."""
        return resize_image(image, check_size(self.input_size, minimum=64))

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""
        from torch.optim import Adam

        return Adam(parameters, lr=float(self.learning_rate))

    def learning_rate_factor(self, done: float) -> float:
        """Return 1, then 0.2 from 80 %, and 0.04 from 90 % of the steps on."""
        return 1.0 if done < 0.8 else 0.2 if done < 0.9 else 0.04

    def _make_network(self) -> tuple[TrainedNetwork, str]:
        from pyimgano.models.devices import torch_device
        from pyimgano.models.draem_network import DraemNetwork
        from pyimgano.models.texture_defects import TextureDefects

        low, high = (float(end) for end in self.opacity)
        defects = TextureDefects(self.anomaly_source_dir, opacity=(low, high), rotation=float(self.rotation))
        widths = (int(self.reconstruction_width), int(self.segmentation_width))
        device = self._loaded_on or torch_device(self.device)
        return DraemNetwork(*widths, defects, device=device), device

    def _learn_from_images(self, images: ImageBatches) -> None:
        """Look for the textures, so that a folder without any is known before the first step."""
        from pyimgano.models.draem_network import DraemNetwork

        assert isinstance(self._network, DraemNetwork)
        self._network.defects.files()

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        return outputs[0]

    def _image_scores(self, outputs: Sequence[Tensor], maps: Tensor) -> Tensor:
        return outputs[1]

    def _graph_size(self) -> tuple[int, int]:
        return check_size(self.input_size, minimum=64)

    def _network_facts(self) -> dict[str, Any]:
        return {}

    def _restore_network(self, facts: dict[str, Any]) -> None:
        import torch

        if self.device.startswith("cuda") and not torch.cuda.is_available():
            logger.warning("fitted for device %r, which is not here: using the CPU", self.device)
            self._loaded_on = "cpu"
