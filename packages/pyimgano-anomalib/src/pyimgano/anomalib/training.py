"""One training by anomalib's ``Engine``, in a folder that goes away with it."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Sequence
from typing import Any, Optional

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch import Callback

from anomalib.engine import Engine
from pyimgano.anomalib.making import anomalib_errors
from pyimgano.anomalib.preparation import Preparation
from pyimgano.anomalib.surroundings import quiet
from pyimgano.anomalib.training_data import FitImages
from pyimgano.core.errors import ParameterError, PyimganoError
from pyimgano.core.seeding import generator

__all__ = ["train_module"]

logger = logging.getLogger(__name__)


class _Watch(Callback):
    """Logs the mean loss of each epoch, and stops at a loss that is not finite."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss of one step; models that step by themselves may give none."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            return
        self.losses.append(float(loss.detach()))
        if not math.isfinite(self.losses[-1]):
            raise PyimganoError(
                f"the loss is {self.losses[-1]} at step {trainer.global_step} (epoch {trainer.current_epoch + 1})",
                where=type(pl_module).__name__,
                hint="take a smaller learning rate, where the model has a parameter for it",
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how far it is."""
        mean = sum(self.losses) / len(self.losses) if self.losses else float("nan")
        logger.info("epoch %d: mean loss %.6g, %d steps", trainer.current_epoch + 1, mean, trainer.global_step)
        self.losses = []


def train_module(
    module: Any,
    images: Sequence[Any],
    *,
    batch_size: int,
    epochs: Optional[int],
    steps: Optional[int],
    default_epochs: int,
    holdout: float,
    seed: int,
    device: str,
) -> None:
    """Train a module in place.

    Parameters
    ----------
    module : anomalib.models.AnomalibModule
        Made under the same seeded generators.
    images : sequence
        Good images.
    batch_size : int
        Images per step.
    epochs, steps : int or None
        How long; the one that is reached first ends the training.
    default_epochs : int
        How long, where neither is given and the model does not say so itself.
    holdout : float
        Share of the images that is kept from the steps, for the model's validation.
    seed : int
        Decides the order of the images and which are held out.
    device : {"cpu", "cuda"}
        Where.

    Raises
    ------
    ParameterError
        When the model decides its length itself, and another one was given.
    PyimganoError
        When the training fails.
    """
    where = type(module).__name__
    own = module.trainer_arguments
    lengths = {name: own[name] for name in ("max_epochs", "max_steps") if own.get(name) is not None}
    if lengths and (epochs is not None or steps is not None):
        stated = ", ".join(f"{name} = {value}" for name, value in lengths.items())
        raise ParameterError(f"epochs and steps: the model is trained for {stated}", where=where, allowed="null")
    length: dict[str, Any] = {}
    if not lengths:
        length["max_epochs"] = epochs if epochs is not None else (-1 if steps is not None else default_epochs)
        length["max_steps"] = -1 if steps is None else steps
    train, held_out = _split(len(images), holdout, seed)
    data = FitImages(
        images, train, held_out, Preparation(module.pre_processor.transform), batch_size=batch_size, seed=seed
    )
    with tempfile.TemporaryDirectory(prefix="pyimgano-anomalib-") as folder, quiet(), anomalib_errors(where):
        engine = Engine(
            callbacks=[_Watch()],
            default_root_dir=folder,
            accelerator="gpu" if device.startswith("cuda") else "cpu",
            devices=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=1.0 if len(held_out) and holdout else 0,
            deterministic="warn",
            **length,
        )
        try:
            engine.fit(model=module, datamodule=data)
        except SystemExit as stop:  # Lightning's answer to an interrupt
            raise KeyboardInterrupt from stop
        finally:
            module.trainer = None  # it holds the data, and with them the images


def _split(count: int, holdout: float, seed: int) -> tuple[list[int], list[int]]:
    """Return which images are trained on, and which are held out: all of them, twice, where none can be spared."""
    spared = max(1, round(holdout * count)) if holdout and count > 1 else 0
    if not spared:
        return list(range(count)), list(range(count)) if holdout else []
    order = generator(seed, "anomalib", "hold-out").permutation(count)
    return np.sort(order[spared:]).tolist(), np.sort(order[:spared]).tolist()
