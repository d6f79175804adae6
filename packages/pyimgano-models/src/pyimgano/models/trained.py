"""What detectors that are trained by gradients have in common.

``fit`` is a plain loop around :meth:`TrainedDetector.training_step`. An outer runner can drive the same model: it asks
for :meth:`~TrainedDetector.trainable` parameters, calls ``training_step`` as often as it likes with an optimiser of its
own, and ends with :meth:`~TrainedDetector.finish_training`, after which the detector scores and saves.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.errors import CheckpointError, ParameterError, PyimganoError
from pyimgano.core.images import as_rgb8
from pyimgano.core.parameters import require
from pyimgano.core.seeding import derive_seed, generator
from pyimgano.models.backbone_detector import BackboneDetector, is_real, is_whole
from pyimgano.models.backbones import pyramid_layers, resolve_backbone
from pyimgano.models.runtimes import TorchRuntime, default_threads

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["MODES", "TrainedDetector"]

logger = logging.getLogger(__name__)

MODES = ("full", "last-layers")
LOSSES = "losses"
TRAINED = "trained."


class TrainedDetector(BackboneDetector, ABC):
    """Base of detectors that learn from a frozen teacher: :class:`~pyimgano.core.contracts.Finetunable`.

    A subclass has :meth:`_build_network`, :meth:`make_optimizer` and :meth:`_render`, and the parameters below.

    The same images, parameters and seed give the same losses and the same saved bytes on the CPU (of one machine and
    one number of threads). No global random state is used or changed. Images are scored one by one, so that a score
    does not depend on the batch.

    Attributes
    ----------
    losses_ : ndarray, (steps,) float64
        Loss of each step of ``fit``; empty when an outer runner did the steps.
    extractor_facts_ : dict
        Of the teacher; see :class:`~pyimgano.models.backbone_detector.BackboneDetector`.
    """

    runtime = "torch"
    epochs: int
    learning_rate: float
    seed: int
    losses_: np.ndarray
    _network: Optional[TrainedNetwork] = None
    _scorer: Optional[TorchRuntime] = None

    # -- for authors ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        """Return the untrained network; torch's CPU generator is seeded for it and put back afterwards."""

    @abstractmethod
    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""

    @abstractmethod
    def _render(self, distances: list[np.ndarray]) -> np.ndarray:
        """Return the maps, (N, height, width) float32, of the layers' distances, (N, h, w) each."""

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        require(is_whole(self.epochs, 1), "epochs", self.epochs, "a whole number, at least 1")
        rate = self.learning_rate
        require(is_real(rate) and rate > 0.0, "learning_rate", rate, "above 0")
        require(is_whole(self.seed, 0), "seed", self.seed, "a whole number, at least 0")

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return pyramid_layers(resolve_backbone(self.backbone))

    # -- training, step by step ----------------------------------------------------------------------------------

    def trainable(self, mode: str = "full") -> list[nn.Parameter]:
        """Return the parameters that ``mode`` trains, and freeze the others.

        A detector that was neither fitted nor loaded gets its untrained network, by its seed.

        Parameters
        ----------
        mode : {"full", "last-layers"}
            Everything that the model trains, or a part that its class documents.

        Raises
        ------
        ParameterError
            When the mode is unknown, or the model's layers leave it without parameters.
        """
        require(mode in MODES, "mode", mode, ", ".join(MODES))
        network = self._network or self._start()
        chosen = list(network.trained.parameters()) if mode == "full" else network.last_layers()
        network.select(chosen)
        return chosen

    def training_step(self, batch: Sequence[np.ndarray]) -> Tensor:
        """Return the loss of one batch, ready for ``backward()``.

        Parameters
        ----------
        batch : sequence of ndarray, (H, W, 3) uint8
            RGB images of any size.
        """
        import torch

        if self._network is None:
            self.trainable("full")
        assert self._network is not None
        self._network.learn(True)
        pixels = np.stack([self.prepare(image) for image in batch])
        return self._network.loss(torch.from_numpy(pixels).to(self.extractor_facts_["device"]))

    def finish_training(self, n_images: int) -> None:
        """Make the detector a fitted one after an outer runner's steps.

        Parameters
        ----------
        n_images : int
            Number of images that it was trained on.

        Raises
        ------
        PyimganoError
            When a weight is not finite, or there was no training.

        Notes
        -----
        A threshold is dropped: it was that of other weights.
        """
        if self._network is None:
            raise PyimganoError("there is nothing to finish", hint="call trainable() and training_step(batch) first")
        self._check_weights("after the last step")
        self._rest()
        if not hasattr(self, "losses_"):
            self.losses_ = np.empty(0)
        vars(self).pop("threshold_", None)
        self.n_images_ = int(n_images)

    def _start(self) -> TrainedNetwork:
        """Make the untrained network."""
        import torch

        self.validate()
        extractor = self.extractor
        stride = extractor.backbone.layer(extractor.layers[-1]).stride
        if min(extractor.input_size) < 2 * stride:  # BatchNorm cannot learn from one position of one image
            raise ParameterError(
                f"input_size = {self.input_size!r} leaves the layer {extractor.layers[-1]} less than 2 × 2 positions",
                where=type(self).__name__,
                allowed=f"at least {2 * stride}, or finer layers",
            )
        runtime = extractor.runtime
        assert isinstance(runtime, TorchRuntime)
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which also seeds the generators of CUDA devices, and these are not forked here.
            torch.default_generator.manual_seed(derive_seed(self.seed, type(self).__name__, "weights"))
            network = self._build_network(runtime.network)
        self._network = network.to(memory_format=torch.channels_last)
        self._scorer = TorchRuntime(self._network, device=runtime.device, threads=default_threads())
        self._network.select(list(self._network.trained.parameters()))
        return self._network

    def _rest(self) -> None:
        """Switch to scoring, and forget the gradients, which are as large as the weights."""
        assert self._network is not None
        self._network.learn(False)
        self._network.zero_grad(set_to_none=True)

    def _check_weights(self, when: str) -> None:
        assert self._network is not None
        for name, tensor in self._network.trained.state_dict().items():
            if not bool(tensor.isfinite().all()):
                raise PyimganoError(f"the weights {name} are not finite {when}", hint="take a smaller learning_rate")

    # -- fit -----------------------------------------------------------------------------------------------------

    def _fit(self, images: ImageBatches) -> None:
        self._network = None
        self._make_extractor()
        try:
            self._start()
            self._train(images)
        except BaseException:
            self._network = None  # half-trained weights must not be scored, nor trained on as if they were fresh
            raise

    def _train(self, images: ImageBatches) -> None:
        assert self._network is not None
        optimizer = self.make_optimizer(self.trainable("full"))
        losses: list[float] = []
        for epoch in range(self.epochs):
            before = len(losses)
            for batch in self._epoch(images, epoch):
                loss = self.training_step(batch)
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise PyimganoError(
                        f"the loss is {losses[-1]} at step {len(losses)} (epoch {epoch + 1} of {self.epochs})",
                        where=type(self).__name__,
                        hint=f"take a smaller learning_rate than {self.learning_rate}",
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            mean = sum(losses[before:]) / (len(losses) - before)
            logger.info("epoch %d of %d: mean loss %.6g over %d steps", epoch + 1, self.epochs, mean, len(losses))
        self._check_weights(f"after step {len(losses)}")
        self._rest()
        self.losses_ = np.asarray(losses)

    def _epoch(self, images: ImageBatches, epoch: int) -> Iterator[list[np.ndarray]]:
        """Yield every image once, in an order of the epoch's own, in batches of equal size to within one.

        A last batch of one or two images would disturb BatchNorm, so the images are spread; no batch is greater than
        ``batch_size``.
        """
        count = len(images)
        order = generator(self.seed, type(self).__name__, "order", epoch).permutation(count)
        batches = -(-count // self.batch_size)
        decoded = ImageBatches(
            _InOrder(images.X, order), self.batch_size, prepare=images.prepare, workers=images.workers
        ).images()
        for part in np.array_split(order, batches):
            yield list(islice(decoded, len(part)))

    # -- infer and state -----------------------------------------------------------------------------------------

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        assert self._network is not None
        assert self._scorer is not None
        self._network.learn(False)
        per_image = self._scorer.run(batch)
        rendered = self._render([np.concatenate(layer) for layer in zip(*per_image)])
        return rendered.max(axis=(1, 2)), rendered if maps else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        assert self._network is not None
        arrays = {
            TRAINED + name: tensor.detach().cpu().numpy() for name, tensor in self._network.trained.state_dict().items()
        }
        return {**arrays, LOSSES: self.losses_}, {"extractor": self.extractor_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        import torch

        self._restore_extractor(facts["extractor"])
        network = self._start()
        self.losses_ = arrays[LOSSES]
        state = {
            name[len(TRAINED) :]: torch.from_numpy(array) for name, array in arrays.items() if name.startswith(TRAINED)
        }
        try:
            network.trained.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:240]
            raise CheckpointError(
                f"the trained weights do not fit {facts['extractor']['backbone']}: {reason}"
            ) from error


class _InOrder(Sequence[Any]):
    """Images in another order; an array that is no image is named by its place in the original."""

    def __init__(self, images: Sequence[Any], order: np.ndarray) -> None:
        self._images = images
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        place = int(self._order[index])
        return as_rgb8(self._images[place], where=f"image {place}")
