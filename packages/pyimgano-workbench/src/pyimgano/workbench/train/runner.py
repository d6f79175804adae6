"""The loop: steps, measurements, checkpoints, and the end."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import ParameterError, PyimganoError
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.parameters import require
from pyimgano.core.registry import MODELS
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.train.checkpoints import TrainingCheckpoints, TrainingState
from pyimgano.workbench.train.learning_images import Item, LearningImages
from pyimgano.workbench.train.memory import is_out_of_memory
from pyimgano.workbench.train.metric_log import MetricLog
from pyimgano.workbench.train.optimisation import LearningRate, make_optimizer, optimizer_arrays, restore_optimizer
from pyimgano.workbench.train.settings import TrainSettings
from pyimgano.workbench.train.validation import Measurement, ValidationImages

__all__ = ["Plan", "TrainingOutcome", "check_model", "keeps_images", "train_detector", "trainable_parameters"]

LOG = "log.jsonl"
ENDED = "ended.json"
TENSORBOARD = "tensorboard"
SAVE_SECONDS = 60.0
"""Work that a killed process may lose; states between measurements are saved that often."""


def check_model(detector: Any, settings: TrainSettings) -> None:
    """Refuse settings that a model does not know, before anything is loaded.

    Raises
    ------
    ParameterError
        When the model cannot be trained, does not know the mode, or does not learn from defects.
    """
    where = type(detector).__name__
    if not hasattr(detector, "training_step"):
        trained = [entry.spec.name for entry in MODELS.entries() if entry.spec.finetune]
        raise ParameterError("the model has nothing that could be trained", where=where, allowed=", ".join(trained))
    mode = settings.chosen_mode(detector)
    require(mode in detector.modes, "mode", mode, ", ".join(detector.modes), where=where)
    if settings.defects != "none" and not detector.learns_from_defects:
        raise ParameterError(
            f"defects = {settings.defects!r}, and the model learns from good images only", where=where, allowed="none"
        )


def trainable_parameters(detector: Any, settings: TrainSettings) -> Sequence[Any]:
    """Return the parameters that the settings train; the detector's others are frozen."""
    mode = settings.chosen_mode(detector)
    options = {"rank": settings.lora_rank} if mode == "lora" else {}
    parameters: Sequence[Any] = detector.trainable(mode, **options)
    return parameters


def keeps_images(detector: Any) -> bool:
    """Tell whether a model fills a memory from images when its training ends: one whose backbone alone is trained."""
    return "backbone-adapt" in detector.modes


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training did.

    Attributes
    ----------
    facts : dict
        JSON-friendly: ``mode``, ``steps``, ``epochs``, ``ended`` (why), ``seconds``, ``batch_size``, ``n_train``,
        ``n_train_defects``, ``n_validation``, ``n_validation_defects``, ``n_trainable`` (parameters), ``kept`` (step
        of the state that is), ``start``, ``best`` (each with ``step``, ``auroc``, ``separation``) and ``notes``.
    """

    facts: dict[str, Any]


class Plan:
    """How long training goes on, and which share of that is done.

    Parameters
    ----------
    settings : TrainSettings
    n_images : int
        Images of an epoch.
    own : int
        Steps that the model itself would take.
    """

    def __init__(self, settings: TrainSettings, n_images: int, own: int) -> None:
        self._n = n_images
        self._epochs = settings.epochs
        self._steps = settings.max_steps
        if self._epochs is None and self._steps is None:
            self._steps = own

    def done(self, step: int, epoch: int, seen: int) -> float:
        """Return the share of the length that is done: 1 or more at its end."""
        shares = []
        if self._steps is not None:
            shares.append(step / self._steps)
        if self._epochs is not None:
            shares.append((epoch + seen / self._n) / self._epochs)
        return max(shares)

    def total(self, batch_size: int) -> int:
        """Return the number of steps, for a progress bar."""
        lengths = [] if self._steps is None else [self._steps]
        if self._epochs is not None:
            lengths.append(self._epochs * -(-self._n // batch_size))
        return min(lengths)


class _Training:
    """One training: what it works with, and where it stands."""

    def __init__(
        self,
        detector: Any,
        images: LearningImages,
        sources: Sequence[Any],
        validation: ValidationImages,
        settings: TrainSettings,
        folder: Path,
        progress: Progress,
        batch_size: Optional[int],
    ) -> None:
        self.detector, self.images, self.sources, self.validation = detector, images, sources, validation
        self.settings, self.progress = settings, progress
        self.score_batch = batch_size
        self.batch_size = int(batch_size or getattr(detector, "batch_size", None) or 8)
        self.plan = Plan(settings, len(images), detector.planned_steps(len(images)))
        self.folder = folder
        self.checkpoints = TrainingCheckpoints(folder)
        self.step = self.epoch = self.seen = 0
        self.stale = 0
        self.seconds = 0.0
        self.notes: list[str] = []
        self.start: Optional[dict[str, Any]] = None
        self.best: Optional[dict[str, Any]] = None
        self._saved = self._began = time.perf_counter()

    # -- where it stands -----------------------------------------------------------------------------------------

    def elapsed(self) -> float:
        """Return the seconds of work, those of earlier processes included."""
        return self.seconds + time.perf_counter() - self._began

    def facts(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "epoch": self.epoch,
            "seen": self.seen,
            "stale": self.stale,
            "seconds": self.elapsed(),
            "batch_size": self.batch_size,
            "notes": self.notes,
            "start": self.start,
            "best": self.best,
        }

    def restore(self, state: TrainingState) -> None:
        for name, value in state.facts.items():
            setattr(self, name, list(value) if name == "notes" else value)
        self.detector.set_training_state(state.model)
        restore_optimizer(self.optimizer, dict(state.optimizer))

    def save(self) -> None:
        state = TrainingState(self.detector.training_state(), optimizer_arrays(self.optimizer), self.facts())
        self.checkpoints.save("last", self.step, state)
        self._saved = time.perf_counter()

    # -- the work ------------------------------------------------------------------------------------------------

    def run(self) -> TrainingOutcome:
        parameters = trainable_parameters(self.detector, self.settings)
        self.n_trainable = sum(int(parameter.numel()) for parameter in parameters)
        self.optimizer = make_optimizer(self.detector, parameters, self.settings)
        self.rate = LearningRate(self.optimizer, self.detector, self.settings)
        state = self.checkpoints.load("last")
        if state is not None:
            self.restore(state)
        else:
            self.detector.begin_training(self.sources)
        board = self.folder / TENSORBOARD
        self.log = MetricLog(self.folder / LOG, step=self.step if state is not None else -1, tensorboard=board)
        try:
            ended, failed = self._earlier_end() or (self._train(), False)
        finally:
            self.log.close()
        kept = self._end(ended, failed)
        facts = self.facts()
        return TrainingOutcome(
            {
                "mode": self.settings.chosen_mode(self.detector),
                "steps": self.step,
                "epochs": self.epoch + self.seen / len(self.images),
                "ended": ended,
                "kept": kept,
                "seconds": facts["seconds"],
                "batch_size": self.batch_size,
                "n_train": self.images.n_good,
                "n_train_defects": self.images.n_defective,
                "n_validation": len(self.validation.good),
                "n_validation_defects": self.validation.n_defective,
                "n_trainable": self.n_trainable,
                "start": self.start,
                "best": self.best,
                "notes": self.notes,
            }
        )

    def _earlier_end(self) -> Optional[tuple[str, bool]]:
        """Return why an earlier process ended this training, and whether it failed, which it would do again."""
        path = self.folder / ENDED
        if not path.is_file():
            return None
        record = load_json(path)
        return str(record["ended"]), bool(record["failed"])

    def _end(self, ended: str, failed: bool) -> int:
        """Put the detector into the state that is kept, and return its step."""
        dump_json({"schema_version": 1, "ended": ended, "failed": failed}, self.folder / ENDED)
        if self.settings.keep == "last" and not failed:
            return self.step
        best = self.checkpoints.load("best")
        assert best is not None
        assert self.best is not None
        self.detector.set_training_state(best.model)
        return int(self.best["step"])

    def _train(self) -> str:
        total = self.plan.total(self.batch_size)
        with self.progress.stage(f"{self.folder.name}: train", total) as advance:
            advance(min(self.step, total))
            if self.step == 0 and self.start is None:
                self._measure()
                self.save()
            while True:
                reason = self._ended()
                if reason is not None:
                    return reason
                self._epoch(advance)

    def _ended(self) -> Optional[str]:
        settings = self.settings
        if settings.patience is not None and self.stale >= settings.patience:
            return f"no improvement in {self.stale} measurements"
        if self._out_of_time():
            return f"max_minutes = {settings.max_minutes:g}"
        if self.plan.done(self.step, self.epoch, self.seen) >= 1.0:
            return "planned length"
        return None

    def _out_of_time(self) -> bool:
        limit = self.settings.max_minutes
        return limit is not None and self.elapsed() >= 60.0 * limit

    def _epoch(self, advance: Any) -> None:
        """Train to the end of the epoch, or of the training; then measure, where it is time to, and save."""
        over = False
        while self.seen < len(self.images) and not over:
            batches = self.images.epoch(self.epoch, self.seen, self.batch_size)
            with contextlib.closing(batches):  # type: ignore[type-var]
                for batch in batches:
                    if not self._fitting_step(batch):
                        break  # the rest of the epoch again, in smaller batches
                    advance(1)
                    over = self._out_of_time() or self.plan.done(self.step, self.epoch, self.seen) >= 1.0
                    if over:
                        break
                    if time.perf_counter() - self._saved >= SAVE_SECONDS:
                        self.save()
        if self.seen >= len(self.images):
            self.epoch, self.seen = self.epoch + 1, 0
        if over or (self.seen == 0 and self.epoch % self.settings.evaluate_every == 0):
            self._measure()
        self.save()

    def _fitting_step(self, batch: list[Item]) -> bool:
        """Take one step; where the memory is not enough, halve the batch size and return False."""
        try:
            self._step(batch)
            return True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise PyimganoError(
                    "the memory is not enough for a training step on a single image",
                    where=type(self.detector).__name__,
                    hint="take a smaller model.params.input_size, or a mode that trains less",
                ) from error
        self.optimizer.zero_grad(set_to_none=True)
        self.batch_size = max(1, len(batch) // 2)
        note = (
            f"step {self.step + 1}: the memory is not enough for {len(batch)} images, going on with {self.batch_size}"
        )
        self.notes.append(note)
        self.progress.note(f"{self.folder.name}: {note}")
        return False

    def _step(self, batch: list[Item]) -> None:
        import torch

        rate = self.rate.set(self.plan.done(self.step, self.epoch, self.seen))
        images, masks = [image for image, _ in batch], [mask for _, mask in batch]
        known = any(mask is not None for mask in masks)
        with _autocast(self.settings, self.optimizer):
            loss = self.detector.training_step(images, masks) if known else self.detector.training_step(images)
        value = float(loss.detach())
        if not math.isfinite(value):
            self._stop(f"the loss is {value} at step {self.step + 1}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        row: dict[str, Any] = {"epoch": self.epoch, "loss": value, "lr": rate}
        if self.settings.clip is not None:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            row["gradient_norm"] = float(torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip))
            if not math.isfinite(row["gradient_norm"]):
                self._stop(f"the gradient is {row['gradient_norm']} at step {self.step + 1}")
        self.optimizer.step()
        self.step += 1
        self.seen += len(batch)
        self.log.write(self.step, row)

    def _stop(self, reason: str) -> None:
        """End a training that went wrong, so that what was good is not lost.

        Raises
        ------
        PyimganoError
            Always.
        """
        dump_json({"schema_version": 1, "ended": reason, "failed": True}, self.folder / ENDED)
        assert self.best is not None
        raise PyimganoError(
            f"{reason} (epoch {self.epoch + 1}); the best state before it, of step {self.best['step']}, is kept",
            where=f"{self.folder.name}: {type(self.detector).__name__}",
            hint="take a smaller recipe_params.lr, or set recipe_params.clip; resuming this run ends it with the state "
            "that is kept",
        )

    def _measure(self) -> None:
        try:
            self.detector.finish_training(self.sources, self.validation.good_images)
            found = self.validation.measure(self.detector, batch_size=self.score_batch, advance=lambda count: None)
        except PyimganoError as error:
            if self.best is None:  # the model was unfit before its first step: nothing is lost with it
                raise
            self._stop(f"{error.message} at step {self.step}")
        row = {"step": self.step, **found.to_json()}
        best = None if self.best is None else Measurement(self.best["auroc"], self.best["separation"])
        improved = found.better_than(best)
        if self.start is None:
            self.start = row
        self.stale = 0 if improved else self.stale + 1
        if improved:
            self.best = row
            self.checkpoints.save("best", self.step, TrainingState(self.detector.training_state(), {}, row))
        self.log.write(self.step, {"kind": "validation", "epoch": self.epoch, **found.to_json(), "best": improved})


def _autocast(settings: TrainSettings, optimizer: Any) -> AbstractContextManager[Any]:
    """Return a context that computes in bfloat16 where the settings want it and the device can."""
    import torch

    device = optimizer.param_groups[0]["params"][0].device.type
    wanted = settings.amp is True or (settings.amp == "auto" and device == "cuda" and torch.cuda.is_bf16_supported())
    if not wanted:
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)


def train_detector(
    detector: Any,
    images: LearningImages,
    sources: Sequence[Any],
    validation: ValidationImages,
    settings: TrainSettings,
    *,
    folder: Path,
    progress: Progress,
    batch_size: Optional[int] = None,
) -> TrainingOutcome:
    """Train a detector, or go on with a training that was interrupted.

    The same arguments give the same steps on the CPU (of one machine and one number of threads), whether or not the
    process was killed between them. The detector ends in the best measured state, which may be the one it had before
    the first step; :meth:`finish_training` is the caller's.

    Parameters
    ----------
    detector : Finetunable
        In the state that training starts from.
    images : LearningImages
        What it is trained on.
    sources : sequence
        The good ones of them, as ``begin_training`` and ``finish_training`` take them.
    validation : ValidationImages
        What it is measured by.
    settings : TrainSettings
        How.
    folder : Path
        Where states and log are kept; made when missing. What an earlier process left there is gone on with.
    progress : Progress
        Who listens.
    batch_size : int, optional
        Images per step at most. Default: the detector's. Halved where the memory is not enough.

    Returns
    -------
    TrainingOutcome

    Raises
    ------
    ParameterError
        When the model does not know the mode.
    PyimganoError
        When the loss, a weight or a score is not finite. The best state is kept, and the next call ends with it.
    """
    check_model(detector, settings)
    folder.mkdir(parents=True, exist_ok=True)
    return _Training(detector, images, sources, validation, settings, folder, progress, batch_size).run()
