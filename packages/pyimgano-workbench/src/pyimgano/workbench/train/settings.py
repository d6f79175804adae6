"""What may be set of a training, and what each setting means. Imports no deep learning library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from pyimgano.core.errors import DatasetError, ParameterError, PyimganoError
from pyimgano.core.parameters import require
from pyimgano.workbench.defects.placing import BANK, Kind, chosen_kinds

__all__ = ["OPTIMIZERS", "SCHEDULES", "TrainSettings"]

OPTIMIZERS = ("model", "adamw", "adam", "sgd")
SCHEDULES = ("model", "constant", "cosine", "linear")


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained.

    Parameters
    ----------
    mode : str, optional
        What is trained: one of the model's ``modes``. Null: its first.
    epochs : int, optional
        Times that every image is seen. Null: what the model itself would take (its paper's length).
    max_steps : int, optional
        Steps at most; without ``epochs`` it is the length that the schedule is laid out for.
    max_minutes : float, optional
        Time budget, over all processes that worked on the run; the best state so far is kept. A run that it ends is not
        repeated to the same bytes, since machines differ in speed.
    optimizer : {"model", "adamw", "adam", "sgd"}
        ``"model"`` is the one of the model's paper.
    lr : float, optional
        Learning rate. Null: the model's own.
    weight_decay : float, optional
        Of ``adamw``, ``adam`` and ``sgd``; null: 0.01, 0 and 0.
    momentum : float
        Of ``sgd``.
    schedule : {"model", "constant", "cosine", "linear"}
        ``"model"`` is the paper's; ``"cosine"`` and ``"linear"`` fall to 0 over the planned length.
    warmup : float
        Share of the planned length over which the learning rate rises from 0, before the schedule.
    clip : float, optional
        Largest norm of the gradients together; longer ones are scaled down to it. Null: no limit.
    amp : "auto" or bool
        bfloat16 where the device computes in it: ``"auto"`` on CUDA devices that do, never on the CPU.
    validation : float or int
        Good images kept from training to measure it: a share below 1, or a number. Whole groups.
    validation_defects : int
        Synthetic defects to measure it with, at least; every held-out image gets as many as the others.
    evaluate_every : int
        Epochs between two measurements.
    patience : int, optional
        Measurements without an improvement after which training ends. Null: never.
    keep : {"best", "last"}
        State that is kept: the best measured one, or the last. Synthetic defects are not the line's own: where they
        mislead, take the last.
    lora_rank : int
        Rank of the updates of the mode ``"lora"``.
    synthetic_share : float
        Share of the good images that are given a synthetic defect, in modes that learn from such.
    synthetic_defects : list of str, optional
        Kinds of synthetic defects that training and its measurements use, as ``pyimgano components list --tag defects``
        has them, in severities 1 to 3. Null: scratches, stains and foreign pieces, small and faint ones among them.
    defect_bank : str, optional
        Folder of crops and masks of the kind ``"defect-bank"``; given if that is among the kinds.
    defects : {"none", "train"}
        ``"train"``: labelled defective images of the train split, with masks, are learned from, too; only for models
        that learn from defects.
    start_from : str, optional
        A run whose detectors (of the same model, by category) training starts from, or the folder of one saved
        detector.
    """

    mode: Optional[str] = None
    epochs: Optional[int] = None
    max_steps: Optional[int] = None
    max_minutes: Optional[float] = None
    optimizer: str = "model"
    lr: Optional[float] = None
    weight_decay: Optional[float] = None
    momentum: float = 0.9
    schedule: str = "model"
    warmup: float = 0.0
    clip: Optional[float] = None
    amp: Union[str, bool] = "auto"
    validation: Union[float, int] = 0.15
    validation_defects: int = 32
    evaluate_every: int = 1
    patience: Optional[int] = 10
    keep: str = "best"
    lora_rank: int = 8
    synthetic_share: float = 0.5
    synthetic_defects: Optional[Sequence[str]] = None
    defect_bank: Optional[str] = None
    defects: str = "none"
    start_from: Optional[str] = None

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises
        ------
        ParameterError
            Naming the setting and what is allowed.
        """
        require(self.mode is None or isinstance(self.mode, str), "mode", self.mode, "one of the model's modes, or null")
        for name in ("epochs", "max_steps", "patience"):
            value = getattr(self, name)
            require(value is None or _whole(value, 1), name, value, "a whole number, at least 1, or null")
        for name in ("validation_defects", "evaluate_every", "lora_rank"):
            require(_whole(getattr(self, name), 1), name, getattr(self, name), "a whole number, at least 1")
        for name in ("max_minutes", "lr", "clip"):
            value = getattr(self, name)
            require(value is None or (_real(value) and value > 0), name, value, "above 0, or null")
        decay = self.weight_decay
        require(decay is None or (_real(decay) and decay >= 0), "weight_decay", decay, "at least 0, or null")
        require(
            decay is None or self.optimizer != "model",
            "weight_decay",
            decay,
            'null with optimizer = "model", which has the paper\'s',
        )
        require(_real(self.momentum) and 0 <= self.momentum < 1, "momentum", self.momentum, "at least 0, below 1")
        require(_real(self.warmup) and 0 <= self.warmup < 1, "warmup", self.warmup, "at least 0, below 1")
        share = self.synthetic_share
        require(_real(share) and 0 < share < 1, "synthetic_share", share, "above 0, below 1")
        require(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, ", ".join(OPTIMIZERS))
        require(self.schedule in SCHEDULES, "schedule", self.schedule, ", ".join(SCHEDULES))
        require(self.amp == "auto" or isinstance(self.amp, bool), "amp", self.amp, '"auto", true, false')
        held_out = self.validation
        fraction = _real(held_out) and 0 < held_out < 1
        require(
            fraction or _whole(held_out, 1),
            "validation",
            held_out,
            "a share between 0 and 1, or a whole number of images, at least 1",
        )
        require(self.keep in ("best", "last"), "keep", self.keep, "best, last")
        require(self.defects in ("none", "train"), "defects", self.defects, "none, train")
        bank = self.defect_bank
        require(bank is None or (isinstance(bank, str) and bank != ""), "defect_bank", bank, "a folder, or null")
        self.synthetic_kinds()
        start = self.start_from
        require(
            start is None or (isinstance(start, str) and start != ""), "start_from", start, "the path of a run, or null"
        )

    def synthetic_kinds(self) -> Optional[tuple[Kind, ...]]:
        """Return the kinds of ``synthetic_defects``; None where they are not chosen.

        Raises
        ------
        ParameterError
            When a kind is unknown, or the bank is missing, not used, or none.
        """
        names = self.synthetic_defects
        if names is None:
            if self.defect_bank is not None:
                raise ParameterError(
                    f"defect_bank = {self.defect_bank!r} is not used",
                    hint=f'set recipe_params.synthetic_defects = ["{BANK}"], or leave it out',
                )
            return None
        listed = isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names)
        require(bool(listed), "synthetic_defects", names, "a list of kinds, at least one, or null")
        try:
            return chosen_kinds([(name, 1.0) for name in names], bank=self.defect_bank, bank_key="defect_bank")
        except PyimganoError as error:
            told = self.defect_bank is not None and (
                isinstance(error, DatasetError) or error.message.startswith("defect_bank")
            )
            key, value = ("defect_bank", self.defect_bank) if told else ("synthetic_defects", list(names))
            place = f"{error.where}: " if error.where else ""
            raise ParameterError(
                f"{key} = {value!r}: {place}{error.message}", allowed=error.allowed, hint=error.hint
            ) from error

    def chosen_mode(self, detector: Any) -> str:
        """Return the mode of the settings, else the model's first."""
        return self.mode if self.mode is not None else str(detector.modes[0])


def _real(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
