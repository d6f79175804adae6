"""Trained networks that score with another, shorter form of their weights than the one they are trained in."""

from __future__ import annotations

from abc import abstractmethod
from threading import Lock
from typing import Generic, Optional, TypeVar

import torch
from torch import nn

from pyimgano.models.trained_networks import FeatureJudge

__all__ = ["FoldedNetwork"]

F = TypeVar("F")


class FoldedNetwork(FeatureJudge, Generic[F]):
    """Keeps the folded weights until a trained one changes."""

    def __init__(self, teacher: Optional[nn.Module], trained: nn.Module) -> None:
        super().__init__(teacher, trained)
        self._kept: Optional[tuple[tuple[tuple[int, int, str], ...], F]] = None
        self._lock = Lock()

    @abstractmethod
    def _fold(self) -> F:
        """Return the weights as scoring takes them, BatchNorm in eval mode."""

    def folded(self) -> F:
        """Return the folded weights, made anew where a weight has changed since.

        Scoring calls it where it computes: there one thread does, so that the bits do not depend on their number.
        """
        tensors = [*self.trained.parameters(), *self.trained.buffers()]
        now = tuple((id(tensor), tensor._version, str(tensor.device)) for tensor in tensors)
        with self._lock:
            if self._kept is None or self._kept[0] != now:
                with torch.no_grad():
                    self._kept = now, self._fold()
            return self._kept[1]
