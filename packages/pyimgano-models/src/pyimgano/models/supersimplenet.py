"""SuperSimpleNet: SimpleNet with noise in regions, a classification head, and defects to learn from where known."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

import numpy as np

from pyimgano.core.errors import DatasetError
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_real
from pyimgano.models.balanced_epochs import MIRRORINGS, Defects, balanced_epoch
from pyimgano.models.frozen_backbone import FrozenBackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.core.batching import ImageBatches
    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork
    from pyimgano.models.training_images import Masks

__all__ = ["SuperSimpleNet"]

logger = logging.getLogger(__name__)
S = TypeVar("S", bound="SuperSimpleNet")

LONGEST_GRADIENT = 1.0
DECAY = 0.4


class SuperSimpleNet(FrozenBackboneDetector):
    """SuperSimpleNet (Rolih, Fučka & Skočaj, ICPR 2024, arXiv 2408.03143; extended in arXiv 2508.19060).

    The layers of a frozen backbone are interpolated to twice the resolution of the finest, joined, averaged over 3 × 3
    neighbourhoods and adapted by a 1 × 1 convolution. In regions of Perlin noise, Gaussian noise is added. A
    segmentation head learns where it is, a classification head, which sees the features and the other's map, whether
    there is any. The first gives the map, interpolated and smoothed, the second the image's score.

    Real defects, where they are known, are learned beside the noise: see :meth:`fit` and :meth:`training_step`.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. The default is the papers'. Its weights are looked for on
        this machine, never downloaded; ``"efficientnet-lite0"`` comes with its own.
    layers : sequence of str, optional
        Default: the backbone's last layers of stride 8 and 16, as in the papers.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the networks see, and of the maps.
    noise_sigma : float
        Standard deviation of the noise. The default is the papers', for features of the default's scale.
    perlin_threshold : float
        Noise goes where Perlin noise, in [-1, 1], exceeds it: 0.2 in the paper for MVTec AD, 0.6 (smaller regions) for
        VisA and wherever real defects are learned.
    adapt_cls_features : bool
        Whether the classification head sees adapted features, as in the first paper; features as they are, with the
        same noise, as in its extension.
    epochs : int
        Times that every image is seen.
    learning_rate : float
        Of the heads; the adaptor's is half of it.
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
    The mode ``"last-layers"`` of :meth:`trainable` trains both heads, ``"adapter"`` the feature adaptor under heads
    that stay as they are.

    What a step learns from a defective image (:meth:`training_step`): its mask's positions beside those of the noise,
    which goes elsewhere. An empty mask says that the image is defective and nobody knows where; it then teaches the
    classification head alone, gets no noise, and leaves the segmentation losses, whose weight the extension sets to
    0 for such images. So does a defect too small for a position of the features' grid.

    In the paper the gradient of the classification head stops at the map when training is unsupervised. Here it stops
    in each step whose batch is all good. ``fit`` clips the gradient's norm at 1 where it learns from defects, as the
    paper's code does.

    What differs from the paper's code: image scores and maps are logits, not squashed, and not normalised over a test
    set. Perlin noise is sampled on the features' grid, whatever its size. With
    ``adapt_cls_features=True`` the rest, and the interpolation between corners, is as the code has it. The
    extension's weighting of a segmented defect's positions is left out.
    """

    modes = ("full", "last-layers", "adapter")
    learns_from_defects = True
    _defects: Optional[Defects] = None

    def __init__(
        self,
        backbone: str = "wide_resnet50_2",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 256,
        noise_sigma: float = 0.015,
        perlin_threshold: float = 0.2,
        adapt_cls_features: bool = True,
        epochs: int = 300,
        learning_rate: float = 2e-4,
        map_sigma: float = 4.0,
        seed: int = 0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 32,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.noise_sigma = noise_sigma
        self.perlin_threshold = perlin_threshold
        self.adapt_cls_features = adapt_cls_features
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
        threshold = self.perlin_threshold
        require(is_real(threshold) and 0.0 <= threshold < 1.0, "perlin_threshold", threshold, "at least 0, below 1")
        adapt = self.adapt_cls_features
        require(isinstance(adapt, bool), "adapt_cls_features", adapt, "true, false")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's AdamW for parameters that :meth:`trainable` gave."""
        from pyimgano.models.feature_discriminator import adamw

        network = self._network or self._start()
        return adamw(parameters, network.part("adapter"), rate=float(self.learning_rate))

    def learning_rate_factor(self, done: float) -> float:
        """Return 0.4 after 80 % of the steps, 0.16 after 90 %."""
        return DECAY ** ((done >= 0.8) + (done >= 0.9))

    def planned_steps(self, n_images: int) -> int:
        """Return how many steps ``fit`` takes on so many good images.

        Where it learns from defects, epochs are as long as there are defective images and as many good ones, every
        defective one four times (see :meth:`fit`).
        """
        if self._defects is not None:
            n_images = 2 * len(MIRRORINGS) * len(self._defects)
        return super().planned_steps(n_images)

    # -- fit, with and without defects ---------------------------------------------------------------------------

    def fit(self: S, X: Sequence[Any], y: Optional[Sequence[int]] = None, *, masks: Optional[Masks] = None) -> S:
        """Fit on good images and, where masks are given, on defective ones.

        Parameters
        ----------
        X : sequence of path-like or ndarray
            Paths, arrays (see :func:`pyimgano.core.images.to_rgb8`), or a sequence that decodes when asked.
        y : sequence of {0, 1}, optional
            Labels. Without ``masks``, images labelled 1 are left out, as with every detector. With them, they are
            learned from; by default those are the images that have a mask.
        masks : sequence of (ndarray, (H, W) bool, or None), optional
            Of each image, where it is defective. An image that ``y`` labels 1 may come with None or an empty mask: it
            is defective, nobody knows where, and it teaches the classification head alone.

        Returns
        -------
        self
            ``n_images_`` counts good and defective images.

        Raises
        ------
        DatasetError
            When no good image is left to fit on, ``y`` or ``masks`` has another length, a mask has not two axes, or an
            image that ``y`` labels 0 has a defect in its mask.
        ImageError, ParameterError
            See :meth:`pyimgano.core.detector.BaseDetector.fit`.

        Notes
        -----
        As in the paper's code, an epoch with defects holds every defective image four times (as it is, mirrored either
        way, turned by 180°) and as many good ones, which take turns from epoch to epoch.
        """
        if masks is None:
            return super().fit(X, y)
        good, defects = _split(X, y, masks)
        if not defects:
            return super().fit([X[index] for index in good])
        known = sum(mask is not None and bool(np.any(mask)) for mask in defects.masks)
        logger.info("%d good images, %d defective ones, %d with a mask", len(good), len(defects), known)
        self._defects = defects
        try:
            super().fit([X[index] for index in good])
        finally:
            del self._defects
        self.n_images_ += len(defects)
        return self

    def _labelled_epoch(self, images: ImageBatches, epoch: int) -> Iterator[tuple[list[np.ndarray], Optional[Masks]]]:
        if self._defects is None:
            yield from super()._labelled_epoch(images, epoch)
        else:
            yield from balanced_epoch(images, self._defects, epoch, seed=self.seed)

    def _limit_gradients(self, optimizer: Optimizer) -> None:
        if self._defects is not None:
            from torch.nn.utils import clip_grad_norm_

            clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], LONGEST_GRADIENT)

    # -- network and scores --------------------------------------------------------------------------------------

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return None

    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        from pyimgano.models.supersimplenet_network import RegionNoiseDiscriminator

        extractor = self.extractor
        return RegionNoiseDiscriminator(
            teacher,
            sum(extractor.backbone.layer(name).channels for name in extractor.layers),
            noise_sigma=float(self.noise_sigma),
            perlin_threshold=float(self.perlin_threshold),
            adapt_cls_features=self.adapt_cls_features,
        )

    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        from pyimgano.models.torch_maps import render

        return render(outputs[0], self.extractor.input_size, sigma=self.map_sigma, truncate=3.0)

    def _image_scores(self, outputs: Sequence[Tensor], maps: Tensor) -> Tensor:
        return outputs[1][:, 0]


def _split(X: Sequence[Any], y: Optional[Sequence[int]], masks: Masks) -> tuple[list[int], Defects]:
    """Return the places of the good images, and the defective ones."""
    for name, given in (("y", y), ("masks", masks)):
        if given is not None and len(given) != len(X):
            raise DatasetError(f"{name} has {len(given)} entries for {len(X)} images")
    good, defective, kept = [], [], []
    for index in range(len(X)):
        mask = masks[index]
        label = int(y[index]) if y is not None else int(mask is not None)
        if mask is not None and np.ndim(mask) != 2:
            raise DatasetError(
                f"the mask has the shape {np.shape(mask)}", where=f"masks[{index}]", allowed="(H, W) bool, or None"
            )
        if label == 0:
            if mask is not None and bool(np.any(mask)):
                raise DatasetError(
                    "the image is labelled 0 and has a defect in its mask",
                    where=f"image {index}",
                    allowed="label 1, or None as the mask",
                )
            good.append(index)
        else:
            defective.append(index)
            kept.append(mask)
    return good, Defects([X[index] for index in defective], kept, defective)
