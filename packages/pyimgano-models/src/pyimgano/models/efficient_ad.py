"""EfficientAD: a student that fails to describe patches as a teacher does, and to agree with an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

from pyimgano.core.parameters import require
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_whole
from pyimgano.models.frozen_backbone import FrozenBackboneDetector
from pyimgano.models.resizing import check_size

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.core.batching import ImageBatches
    from pyimgano.models.efficient_ad_network import EfficientAdNetwork
    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["EfficientAd"]

PDN = "pdn"
QUANTILES = (0.9, 0.995)
LATE = 0.95


class EfficientAd(FrozenBackboneDetector):
    """EfficientAD (Batzner, Heckler & König, WACV 2024, arXiv 2303.14535).

    A student, a network of a few convolutions, learns to describe patches of good images as a frozen teacher does, from
    the thousandth of the squared differences that is greatest; elsewhere it should fail. Its other half learns to agree
    with an autoencoder, which sees the whole image through a bottleneck and learns the teacher's features too: where
    parts are good but in the wrong place or number, the two disagree. Both squared differences, averaged over the
    channels, are maps; their quantiles 0.9 and 0.995 on good images that were held out become 0 and 0.1, and their mean
    is the anomaly map, whose maximum is the image's score.

    Parameters
    ----------
    backbone : str
        The teacher. ``"pdn"`` is the paper's patch description network of the size ``model_size``. Its weights are
        looked for on this machine, never downloaded. Any other backbone is a teacher as well
        (``"efficientnet-lite0"`` comes with its weights); see :func:`pyimgano.models.features.create_extractor`.
    layers : sequence of str, optional
        Of another teacher than a PDN: they are interpolated to the student's grid and concatenated; student and
        autoencoder have as many channels. Default: the backbone's last layers of stride 8 and 16.
    model_size : {"small", "medium"}
        Of the student: EfficientAD-S or EfficientAD-M.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps; at least 64.
    steps : int
        Training steps.
    learning_rate : float
        Of Adam with weight decay 1e-5; a tenth of it in the last twentieth of the steps.
    padding : bool
        Whether zeros surround images and maps inside PDNs. Without, the outermost 16 pixels are not described.
    imagenet_dir : str, optional
        Folder of photographs of anything, at any depth (the paper's are ImageNet's). Each step shows some to the
        student, which is to answer 0: it must not learn to describe what is not on good images. Only training reads
        it.
    seed : int
        Decides the first weights, the order of the images, which are held out, and all that the steps draw.
    weights : str
        Of the teacher. For a PDN ``"default"`` or a file: a state dict as anomalib publishes it
        (``pretrained_teacher_small.pth``) or another implementation (``teacher_small.pth``);
        ``"random"`` warns. See :func:`pyimgano.models.features.create_extractor`.
    device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images of a training step; changes no score of a fitted detector.

    Attributes
    ----------
    losses_, extractor_facts_
        See :class:`~pyimgano.models.trained.TrainedDetector` and
        :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    The mode ``"last-layers"`` of :meth:`trainable` trains the last convolutions of the student and the autoencoder.

    Each step draws, for each image, which of brightness, contrast and saturation is multiplied by a factor of
    [0.8, 1.2] before the autoencoder sees it; one photograph of ``imagenet_dir``; and the autoencoder's dropout of 0.2.
    A tenth of the images is held out from the steps for the quantiles (all are used where a tenth is not one image).

    What differs from the paper: its algorithms pad the PDNs, and it allows to leave that out for speed; here, as in the
    implementations in use, ``padding`` is off by default. Quantiles are those of maps at the image's resolution, as in
    the paper, of the part that the student describes: anomalib counts a frame of zeros too (16 pixels wide, a quarter
    of an image of 256 × 256), which lowers the scale; the frame is in the maps alone, below every described pixel that
    is as good as any. The greatest thousandth is taken over all images of a batch, exactly; anomalib draws 2²⁴ values
    from larger ones. With ``padding`` anomalib still adds the frame unless told not to. Factors of the colours are
    drawn for each image, there once for a batch. The paper has images of 256 × 256; see
    :class:`~pyimgano.models.feature_autoencoder.FeatureAutoencoder` for others. It distils its teacher from a wide
    ResNet's layers of stride 8 and 16, pooled to 384 channels; a backbone as the teacher is compared directly.
    """

    modes = ("full", "last-layers")
    holdout = 0.1

    def __init__(
        self,
        backbone: str = PDN,
        layers: Optional[Sequence[str]] = None,
        *,
        model_size: str = "small",
        input_size: Union[int, Sequence[int]] = 256,
        steps: int = 70_000,
        learning_rate: float = 1e-4,
        padding: bool = False,
        imagenet_dir: Optional[str] = None,
        seed: int = 0,
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 1,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.model_size = model_size
        self.input_size = input_size
        self.steps = steps
        self.learning_rate = learning_rate
        self.padding = padding
        self.imagenet_dir = imagenet_dir
        self.seed = seed
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        require(self.model_size in ("small", "medium"), "model_size", self.model_size, "small, medium")
        super().validate()
        check_size(self.input_size, minimum=64)
        require(isinstance(self.padding, bool), "padding", self.padding, "true, false")
        folder = self.imagenet_dir
        named = folder is None or (isinstance(folder, str) and bool(folder))
        require(named, "imagenet_dir", folder, "the path of a folder, or null for no penalty")

    def _check_length(self) -> None:
        require(is_whole(self.steps, 1), "steps", self.steps, "a whole number, at least 1")

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""
        from torch.optim import Adam

        return Adam(parameters, lr=float(self.learning_rate), weight_decay=1e-5)

    def learning_rate_factor(self, done: float) -> float:
        """Return the paper's schedule: a tenth of the learning rate in the last twentieth of the steps."""
        return 1.0 if done < LATE else 0.1

    def planned_steps(self, n_images: int) -> int:
        """Return ``steps``, however many images there are."""
        return int(self.steps)

    def _backbone_name(self) -> str:
        return f"pdn-{self.model_size}" if self.backbone == PDN else self.backbone

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return None

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.efficient_ad_network import EfficientAdNetwork, GridTeacher
        from pyimgano.models.penalty_images import PenaltyImages

        extractor = self.extractor
        size = extractor.input_size
        return EfficientAdNetwork(
            GridTeacher(teacher, size, padding=self.padding),
            sum(extractor.backbone.layer(name).channels for name in extractor.layers),
            size,
            model_size=self.model_size,
            padding=self.padding,
            penalty_images=None if self.imagenet_dir is None else PenaltyImages(self.imagenet_dir, size),
        )

    def _trained_network(self) -> EfficientAdNetwork:
        from pyimgano.models.efficient_ad_network import EfficientAdNetwork

        assert isinstance(self._network, EfficientAdNetwork)
        return self._network

    def _learn_from_images(self, images: ImageBatches) -> None:
        network = self._trained_network()
        if network.penalty_images is not None:
            network.penalty_images.paths  # noqa: B018  a folder without images is told before anything is computed
        network.learn_channels(image for batch in images for image in batch)

    def _learn_from_held_out(self, images: ImageBatches) -> None:
        import numpy as np
        import torch

        from pyimgano.models.map_quantiles import MapQuantiles

        network = self._trained_network()
        height, width = self.extractor.input_size
        described = (height - 8 * network.margin, width - 8 * network.margin)
        quantiles = [MapQuantiles(len(images), described[0] * described[1]) for _ in range(2)]
        device = network.image_mean.device
        for batch in images:
            for image in batch:
                with torch.inference_mode():
                    maps = network.difference_maps(torch.from_numpy(image[None]).to(device))
                for grid, of_map in zip(maps, quantiles):
                    of_map.add(render_maps(grid.cpu().numpy(), described, sigma=0.0)[0])
        network.set_levels(np.stack([of_map.at(QUANTILES) for of_map in quantiles]))

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        return render(outputs[0], self.extractor.input_size)
