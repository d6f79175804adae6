"""What detectors that are trained by gradients have in common.

``fit`` is a plain loop around :meth:`TrainedDetector.training_step`. An outer runner can drive the same model: it asks
for :meth:`~TrainedDetector.trainable` parameters, lets it :meth:`~TrainedDetector.begin_training`, calls
``training_step`` as often as it likes with an optimiser of its own, and ends with
:meth:`~TrainedDetector.finish_training`, after which the detector scores and saves.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.cores import usable_cores
from pyimgano.core.errors import CheckpointError, ParameterError, PyimganoError
from pyimgano.core.parameters import require
from pyimgano.core.seeding import derive_seed, generator
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.network_scoring import NetworkScoring
from pyimgano.models.runtimes import Runtime, TorchRuntime
from pyimgano.models.training_images import InOrder, Masks, shuffled_batches, stack_masks

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from pyimgano.core.estimates import ResourceEstimate
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["TrainedDetector"]

logger = logging.getLogger(__name__)

LOSSES = "losses"
TRAINED = "trained."
STEPS = "steps"


class TrainedDetector(NetworkScoring, ABC):
    """Base of detectors that learn by gradients: :class:`~pyimgano.core.contracts.Finetunable`.

    A subclass has :meth:`_make_network`, :meth:`make_optimizer`, :meth:`_render`, :meth:`_graph_size`,
    :meth:`_network_facts` and :meth:`_restore_network`, and the parameters below. One that learns from the features of
    a frozen backbone inherits :class:`~pyimgano.models.frozen_backbone.FrozenBackboneDetector`, which brings four of
    these.

    The same images, parameters and seed give the same losses and the same saved bytes on the CPU (of one machine and
    one number of threads). No global random state is used or changed: what a step draws follows from the seed and the
    number of the step alone. Images are scored one by one, so that a score does not depend on the batch.

    Attributes
    ----------
    modes : tuple of str
        What :meth:`trainable` takes; known before anything is made.
    learns_from_defects : bool
        Whether :meth:`training_step` takes masks.
    holdout : float
        Share of the images that ``fit`` keeps from the steps and gives to :meth:`_learn_from_held_out`.
    losses_ : ndarray, (steps,) float64
        Loss of each step of ``fit``; empty when an outer runner did the steps.
    """

    modes: tuple[str, ...] = ("full", "last-layers", "lora")
    learns_from_defects: bool = False
    holdout: float = 0.0
    epochs: int
    learning_rate: float
    seed: int
    losses_: np.ndarray
    _steps: int = 0

    # -- for authors ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _make_network(self) -> tuple[TrainedNetwork, str]:
        """Return the untrained network and its device; torch's CPU generator is seeded for it, and put back."""

    @abstractmethod
    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return the paper's optimiser for parameters that :meth:`trainable` gave."""

    @abstractmethod
    def _network_facts(self) -> dict[str, Any]:
        """Return what :meth:`_restore_network` needs to make the same frozen parts again; JSON-friendly."""

    @abstractmethod
    def _restore_network(self, facts: dict[str, Any]) -> None:
        """Prepare to make the network of a saved detector; refuse other frozen parts than it was trained with."""

    def learning_rate_factor(self, done: float) -> float:
        """Return what the optimiser's learning rates are multiplied by when the share ``done`` of the steps is done.

        The paper's schedule; constant unless a subclass says otherwise. ``done`` is in [0, 1).
        """
        return 1.0

    def planned_steps(self, n_images: int) -> int:
        """Return how many steps ``fit`` takes on so many images."""
        return int(self.epochs) * -(-n_images // self.batch_size)

    def _learn_from_images(self, images: ImageBatches) -> None:
        """Learn what the first step needs, without gradients (statistics of features, for instance)."""

    def _learn_from_held_out(self, images: ImageBatches) -> None:
        """Learn what scoring needs from good images that no step has seen, without gradients."""

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        self._check_length()
        rate = self.learning_rate
        require(is_real(rate) and rate > 0.0, "learning_rate", rate, "above 0")
        require(is_whole(self.seed, 0), "seed", self.seed, "a whole number, at least 0")

    def _check_length(self) -> None:
        """Check the parameter that says how long ``fit`` trains."""
        require(is_whole(self.epochs, 1), "epochs", self.epochs, "a whole number, at least 1")

    # -- training, step by step ----------------------------------------------------------------------------------

    def trainable(self, mode: str = "full", *, rank: int = 8) -> list[nn.Parameter]:
        """Return the parameters that ``mode`` trains, and freeze the others.

        A detector that was neither fitted nor loaded gets its untrained network, by its seed.

        Parameters
        ----------
        mode : str
            One of :attr:`modes`: ``"full"`` is everything that the model trains, ``"lora"`` low-rank updates of it
            (see :mod:`pyimgano.models.lora`); the others are parts that the class documents.
        rank : int
            Of the updates of ``"lora"``.

        Raises
        ------
        ParameterError
            When the mode is unknown, or the model's layers leave it without parameters.
        """
        require(mode in self.modes, "mode", mode, ", ".join(self.modes))
        network = self._network or self._start()
        if mode == "lora":
            chosen = self._low_rank_updates(network, rank)
        else:
            chosen = network.parameters_of(mode)
        network.select(chosen)
        return chosen

    def _low_rank_updates(self, network: TrainedNetwork, rank: int) -> list[nn.Parameter]:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self.seed, type(self).__name__, "lora"))
            chosen = network.low_rank_updates(rank)
        network.eval()
        return chosen

    def begin_training(self, images: Sequence[Any]) -> None:
        """Learn what the steps need from the good images that they will see, without gradients.

        Parameters
        ----------
        images : sequence of path-like or ndarray
            See :meth:`fit`. A model that needs nothing reads none of them.
        """
        if self._network is None:
            self.trainable("full")
        self._learn_from_images(ImageBatches(images, self.batch_size, prepare=self.prepare))

    def training_step(self, batch: Sequence[np.ndarray], masks: Optional[Masks] = None) -> Tensor:
        """Return the loss of one batch, ready for ``backward()``.

        Parameters
        ----------
        batch : sequence of ndarray, (H, W, 3) uint8
            RGB images of any size.
        masks : sequence of (ndarray, (H, W) bool, or None), optional
            Of each image, where it is defective; None for a good one. Only where :attr:`learns_from_defects`.

        Raises
        ------
        ParameterError
            When there are masks and the model does not learn from defects.
        """
        import torch

        from pyimgano.models.trained_networks import TrainingBatch

        given = masks is not None and any(mask is not None for mask in masks)
        if given and not self.learns_from_defects:
            raise ParameterError(
                "the model learns from good images only", where=type(self).__name__, allowed="a batch without masks"
            )
        if self._network is None:
            self.trainable("full")
        assert self._network is not None
        assert self._scorer is not None
        self._network.learn(True)
        pixels = np.stack([self.prepare(image) for image in batch])
        device = self._scorer.device
        step = TrainingBatch(
            pixels=torch.from_numpy(pixels).to(device),
            masks=stack_masks(masks, pixels.shape[:3], device) if given and masks else None,
            chance=generator(self.seed, type(self).__name__, "step", self._steps),
            defective=torch.tensor([mask is not None for mask in masks], device=device) if given and masks else None,
        )
        self._steps += 1
        return self._network.loss(step)

    def finish_training(self, images: Sequence[Any], held_out: Sequence[Any] = ()) -> None:
        """Make the detector a fitted one after an outer runner's steps.

        Parameters
        ----------
        images : sequence of path-like or ndarray
            The good images that it was trained on. Their number is kept; most models read none of them.
        held_out : sequence of path-like or ndarray
            Good images that it was not trained on, for models that learn the scale of their maps from such.

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
        self._learn_from_held_out(ImageBatches(held_out or images, self.batch_size, prepare=self.prepare))
        if not hasattr(self, "losses_"):
            self.losses_ = np.empty(0)
        vars(self).pop("threshold_", None)
        self.n_images_ = len(images)

    def training_state(self) -> dict[str, np.ndarray]:
        """Return everything of the model that the next steps depend on; with the optimiser's, training goes on exactly.

        Returns
        -------
        dict of str to ndarray
            The trained weights and buffers, and the number of steps that were taken.
        """
        if self._network is None:
            self.trainable("full")
        assert self._network is not None
        return {**_arrays(self._network.trained.state_dict()), STEPS: np.asarray(self._steps)}

    def set_training_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`training_state` returned; call :meth:`trainable` with the same mode before.

        Raises
        ------
        CheckpointError
            When it is that of another network.
        """
        network = self._network or self._start()
        self._steps = int(state[STEPS])
        self._load_trained(network, state)

    def _start(self) -> TrainedNetwork:
        """Make the untrained network."""
        import torch

        self.validate()
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which also seeds the generators of CUDA devices, and these are not forked here.
            torch.default_generator.manual_seed(derive_seed(self.seed, type(self).__name__, "weights"))
            network, device = self._make_network()
        self._network = network.to(memory_format=torch.channels_last)
        network.trained.to(memory_format=network.layout)
        self._scorer = self._make_scorer(self._network, device)
        self._network.select(list(self._network.trained.parameters()))
        self._steps = 0
        return self._network

    def _make_scorer(self, network: TrainedNetwork, device: str) -> Runtime:
        """Return what runs the network's ``forward``; it may read the weights anew for every image."""
        return TorchRuntime(network, device=device, threads=usable_cores())

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
        try:
            self._start()
            kept, held_out = self._hold_out(images)
            self._learn_from_images(kept)
            self._train(kept)
            self._learn_from_held_out(held_out)
        except BaseException:
            self._network = None  # half-trained weights must not be scored, nor trained on as if they were fresh
            raise

    def _hold_out(self, images: ImageBatches) -> tuple[ImageBatches, ImageBatches]:
        """Return the images of the steps, and those kept from them: all, twice, where one image cannot be spared."""
        count = len(images)
        spared = round(self.holdout * count) if self.holdout and count > 1 else 0
        if not spared:
            return images, images
        order = generator(self.seed, type(self).__name__, "hold-out").permutation(count)
        return tuple(  # type: ignore[return-value]
            ImageBatches(InOrder(images.X, np.sort(part)), images.batch_size, prepare=images.prepare)
            for part in (order[spared:], order[:spared])
        )

    def _train(self, images: ImageBatches) -> None:
        assert self._network is not None
        optimizer = self.make_optimizer(self.trainable("full"))
        rates = [group["lr"] for group in optimizer.param_groups]
        steps = self.planned_steps(len(images))
        losses: list[float] = []
        epoch = 0
        while len(losses) < steps:
            before = len(losses)
            for batch, masks in islice(self._labelled_epoch(images, epoch), steps - before):
                factor = self.learning_rate_factor(len(losses) / steps)
                for group, rate in zip(optimizer.param_groups, rates):
                    group["lr"] = rate * factor
                loss = self.training_step(batch, masks)
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise PyimganoError(
                        f"the loss is {losses[-1]} at step {len(losses)} of {steps} (epoch {epoch + 1})",
                        where=type(self).__name__,
                        hint=f"take a smaller learning_rate than {self.learning_rate}",
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self._limit_gradients(optimizer)
                optimizer.step()
            epoch += 1
            mean = sum(losses[before:]) / (len(losses) - before)
            logger.info("epoch %d: mean loss %.6g, %d of %d steps", epoch, mean, len(losses), steps)
        self._check_weights(f"after step {len(losses)}")
        self._rest()
        self.losses_ = np.asarray(losses)

    def _limit_gradients(self, optimizer: Optimizer) -> None:
        """Clip the gradients where the paper does."""

    def _labelled_epoch(self, images: ImageBatches, epoch: int) -> Iterator[tuple[list[np.ndarray], Optional[Masks]]]:
        """Yield the batches of an epoch and their masks; None, where all images are good."""
        for batch in self._epoch(images, epoch):
            yield batch, None

    def _epoch(self, images: ImageBatches, epoch: int) -> Iterator[list[np.ndarray]]:
        """Yield every image once, in an order of the epoch's own; see :func:`shuffled_batches`."""
        order = generator(self.seed, type(self).__name__, "order", epoch).permutation(len(images))
        return shuffled_batches(images, order, self.batch_size)

    def resource_estimate(self, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
        """Return what a fit needs; see :func:`~pyimgano.models.training_estimate.estimate_training`."""
        from pyimgano.models.training_estimate import estimate_training

        self.validate()
        return estimate_training(type(self)(**self.get_params()), sample, n_images)

    # -- state ---------------------------------------------------------------------------------------------------

    def _load_trained(self, network: TrainedNetwork, arrays: Mapping[str, np.ndarray]) -> None:
        import torch

        state = {
            name[len(TRAINED) :]: torch.from_numpy(array) for name, array in arrays.items() if name.startswith(TRAINED)
        }
        try:
            network.trained.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:240]
            raise CheckpointError(f"the trained weights do not fit {type(self).__name__}: {reason}") from error

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from pyimgano.models.lora import merged_state

        assert self._network is not None
        arrays = _arrays(merged_state(self._network.trained))
        return {**arrays, LOSSES: self.losses_}, {**self._network_facts(), STEPS: self._steps}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_network(facts)
        self._load_trained(self._start(), arrays)
        self._steps = int(facts.get(STEPS, 0))  # training on draws what it would have drawn without a pause
        self.losses_ = arrays[LOSSES]


def _arrays(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {TRAINED + name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}
