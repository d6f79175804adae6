"""What detectors with a memory, whose backbone can be adapted before the memory is filled, have in common."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.errors import PyimganoError
from pyimgano.core.parameters import require
from pyimgano.models.backbone_adaptation import MODES, BackboneAdaptation
from pyimgano.models.backbone_detector import BackboneDetector

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

__all__ = ["AdaptableBackbone"]

ADAPTED = "adapted."


class AdaptableBackbone(BackboneDetector, ABC):
    """Base of detectors that learn without gradients from features that can be adapted: ``Finetunable``.

    Training adapts the backbone by :class:`~pyimgano.models.backbone_adaptation.BackboneAdaptation`;
    :meth:`finish_training` then fits the detector on the adapted features. The adapted tensors are saved with it. A
    detector that is never trained is none the wiser: its ``fit`` uses the weights as they are.

    A subclass adds :meth:`_adapted_state` to the arrays that it saves, and calls :meth:`_restore_adapted` first when it
    takes them back.

    Notes
    -----
    Modes of :meth:`trainable`: ``"backbone-adapt"`` trains what only the deepest layer depends on (with one layer:
    everything), ``"full"`` the whole backbone up to that layer, ``"lora"`` low-rank updates of its convolutions.
    """

    modes: tuple[str, ...] = MODES
    modes_on_defects: tuple[str, ...] = MODES
    learns_from_defects: bool = True
    _adaptation: Optional[BackboneAdaptation] = None

    @property
    def learning_rate(self) -> float:
        """Learning rate of the adaptation where nobody names another."""
        return self._adapting().learning_rate

    def _adapting(self) -> BackboneAdaptation:
        if self._adaptation is None:
            self._adaptation = BackboneAdaptation.of(self)
        return self._adaptation

    def trainable(self, mode: str = "backbone-adapt", *, rank: int = 8) -> list[nn.Parameter]:
        """Return the parameters that ``mode`` trains, and freeze the others; see :class:`AdaptableBackbone`.

        Raises
        ------
        ParameterError
            When the mode is unknown.
        """
        require(mode in self.modes, "mode", mode, ", ".join(self.modes))
        return self._adapting().trainable(mode, rank=rank)

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return AdamW; see :class:`~pyimgano.models.backbone_adaptation.BackboneAdaptation` for its rates."""
        return self._adapting().make_optimizer(parameters)

    def learning_rate_factor(self, done: float) -> float:
        """Return 1: the rate is constant."""
        return self._adapting().learning_rate_factor(done)

    def planned_steps(self, n_images: int) -> int:
        """Return how many steps are taken on so many images where nobody says otherwise."""
        return self._adapting().planned_steps(n_images)

    def begin_training(self, images: Sequence[Any]) -> None:
        """Measure the scale of the layers' features on some of the good images."""
        self._adapting().begin_training(images)

    def training_step(
        self, batch: Sequence[np.ndarray], masks: Optional[Sequence[Optional[np.ndarray]]] = None
    ) -> Tensor:
        """Return the loss of one batch; see :meth:`pyimgano.models.trained.TrainedDetector.training_step`."""
        return self._adapting().training_step(batch, masks)

    def finish_training(self, images: Sequence[Any], held_out: Sequence[Any] = ()) -> None:
        """Fit on the features of the adapted backbone.

        Parameters
        ----------
        images : sequence of path-like or ndarray
            Good images to fit on.
        held_out : sequence
            Not used.

        Raises
        ------
        PyimganoError
            When there was no training, or an adapted weight is not finite.
        """
        if self._adaptation is None or self._adaptation._network is None:
            raise PyimganoError("there is nothing to finish", hint="call trainable() and training_step(batch) first")
        self._adapted = self._adaptation.adapted_arrays() or None
        vars(self).pop("threshold_", None)
        self._fit(ImageBatches(images, self.batch_size, prepare=self.prepare))
        self.n_images_ = len(images)

    def training_state(self) -> dict[str, np.ndarray]:
        """Return everything of the adaptation that the next steps depend on."""
        return self._adapting().training_state()

    def set_training_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`training_state` returned, after :meth:`trainable` with the same mode.

        Raises
        ------
        CheckpointError
            When it is that of another backbone.
        """
        self._adapting().set_training_state(state)

    def _adapted_state(self) -> dict[str, np.ndarray]:
        """Return the adapted tensors under the names that they are saved by."""
        return {ADAPTED + name: array for name, array in (self._adapted or {}).items()}

    def _restore_adapted(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the adapted tensors from what was saved, before the extractor is made."""
        found = {name[len(ADAPTED) :]: array for name, array in arrays.items() if name.startswith(ADAPTED)}
        self._adapted = found or None
