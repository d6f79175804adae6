"""The optimiser and the learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pyimgano.workbench.train.settings import TrainSettings

__all__ = ["LearningRate", "make_optimizer", "optimizer_arrays", "restore_optimizer"]


def make_optimizer(detector: Any, parameters: Sequence[Any], settings: TrainSettings) -> Any:
    """Return the optimiser of the settings for the parameters that the detector's mode trains."""
    import torch

    if settings.optimizer == "model":
        optimizer = detector.make_optimizer(parameters)
        if settings.lr is not None:
            # Papers with several rates keep their ratios: the greatest becomes lr.
            scale = settings.lr / max(group["lr"] for group in optimizer.param_groups)
            for group in optimizer.param_groups:
                group["lr"] *= scale
        return optimizer
    rate = float(detector.learning_rate if settings.lr is None else settings.lr)
    decay = settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01 if decay is None else decay)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay or 0.0)
    return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay or 0.0)


class LearningRate:
    """Sets an optimiser's learning rates by the share of the planned length that is done."""

    def __init__(self, optimizer: Any, detector: Any, settings: TrainSettings) -> None:
        self._optimizer = optimizer
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        self._detector = detector
        self._settings = settings

    def factor(self, done: float) -> float:
        """Return what the rates are multiplied by, ``done`` in [0, 1)."""
        warmup = self._settings.warmup
        if done < warmup:
            return done / warmup
        schedule = self._settings.schedule
        left = (done - warmup) / (1.0 - warmup)
        if schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * left))
        if schedule == "linear":
            return 1.0 - left
        return float(self._detector.learning_rate_factor(left)) if schedule == "model" else 1.0

    def set(self, done: float) -> float:
        """Set the rates of the next step, and return the greatest."""
        factor = self.factor(min(done, 1.0))
        for group, rate in zip(self._optimizer.param_groups, self._rates):
            group["lr"] = rate * factor
        return max(self._rates) * factor


def optimizer_arrays(optimizer: Any) -> dict[str, Any]:
    """Return what the optimiser has learned, as arrays by name: ``<number of the parameter>.<quantity>``."""
    import numpy as np
    import torch

    arrays: dict[str, Any] = {}
    for number, quantities in optimizer.state_dict()["state"].items():
        for name, value in quantities.items():
            if isinstance(value, torch.Tensor):
                arrays[f"{number}.{name}"] = value.detach().cpu().numpy().copy()
            elif value is not None:  # SGD has None before its first step with momentum
                arrays[f"{number}.{name}"] = np.asarray(value)
    return arrays


def restore_optimizer(optimizer: Any, arrays: dict[str, Any]) -> None:
    """Give an optimiser back what :func:`optimizer_arrays` returned."""
    import torch

    state: dict[int, dict[str, Any]] = {}
    for key, array in arrays.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = torch.from_numpy(array.copy())
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
