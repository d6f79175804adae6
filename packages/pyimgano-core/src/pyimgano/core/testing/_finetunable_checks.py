"""The contract of models that are trained step by step, one small function per rule.

Each check takes a factory of untrained models and images, and raises ``AssertionError`` with what is wrong. The steps
are few: what is checked is that a runner may stop, score and go on, not that the model learns.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Callable, Optional

from pyimgano.core.contracts import Finetunable
from pyimgano.core.errors import MissingDependencyError, NotFittedError, ParameterError
from pyimgano.core.testing._images import CheckImages

__all__ = ["FINETUNABLE_CHECKS", "finetunable_checks"]

Factory = Callable[[], Any]
BATCH = 4


def _begin(detector: Any, images: CheckImages, mode: Optional[str] = None) -> tuple[Any, list[Any]]:
    """Return an optimiser of the model's own and a batch, ready for the first step."""
    optimizer = detector.make_optimizer(detector.trainable(detector.modes[0] if mode is None else mode))
    detector.begin_training(images.train)
    return optimizer, list(images.train[:BATCH])


def _steps(detector: Any, optimizer: Any, batch: Sequence[Any], count: int) -> list[float]:
    losses = []
    for _ in range(count):
        loss = detector.training_step(batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def check_is_finetunable(factory: Factory, images: CheckImages) -> None:
    """The model has every method of the protocol, and its class says what it can before anything is made."""
    detector = factory()
    assert isinstance(detector, Finetunable), "it lacks a method of pyimgano.core.contracts.Finetunable"
    modes = type(detector).modes
    assert isinstance(modes, tuple), "modes must be a tuple: an attribute of the class"
    assert modes, "modes must name at least one"
    assert isinstance(type(detector).learns_from_defects, bool), "learns_from_defects must be a bool of the class"
    assert detector.planned_steps(10) >= 1, "planned_steps(10) must be at least 1"
    factor = detector.learning_rate_factor(0.0)
    assert math.isfinite(factor), f"learning_rate_factor(0.0) is {factor}"


def check_unknown_mode_is_refused(factory: Factory, images: CheckImages) -> None:
    """``trainable`` refuses a mode that it does not know, and lists those that it knows."""
    detector = factory()
    try:
        detector.trainable("no-such-mode")
    except ParameterError as error:
        told = f"{error.allowed or ''}"
        missing = [mode for mode in detector.modes if mode not in told]
        assert not missing, f"the error about an unknown mode does not list {missing} as allowed"
        return
    raise AssertionError("trainable('no-such-mode') did not raise pyimgano.core.errors.ParameterError")


def check_every_mode_takes_a_step(factory: Factory, images: CheckImages) -> None:
    """Each of ``modes`` gives parameters, a finite loss, and a model that scores after ``finish_training``."""
    for mode in type(factory()).modes:
        detector = factory()
        try:
            optimizer, batch = _begin(detector, images, mode)
        except MissingDependencyError:
            continue  # a library of an extra, which is not installed here
        losses = _steps(detector, optimizer, batch, 2)
        assert all(math.isfinite(loss) for loss in losses), f"mode {mode!r}: the losses are {losses}"
        detector.finish_training(images.train)
        scores = detector.decision_function(images.good)
        assert all(math.isfinite(float(score)) for score in scores), f"mode {mode!r}: a score is not finite"


def check_training_is_repeatable(factory: Factory, images: CheckImages) -> None:
    """Two models of the same parameters have the same losses, step by step."""
    runs = []
    for _ in range(2):
        detector = factory()
        optimizer, batch = _begin(detector, images)
        runs.append(_steps(detector, optimizer, batch, 3))
    assert runs[0] == runs[1], f"the same model, images and seed gave the losses {runs[0]}, then {runs[1]}"


def check_unfinished_training_does_not_score(factory: Factory, images: CheckImages) -> None:
    """Between the first step and ``finish_training`` the model is not fitted."""
    detector = factory()
    optimizer, batch = _begin(detector, images)
    _steps(detector, optimizer, batch, 1)
    try:
        detector.decision_function(images.good)
    except NotFittedError:
        return
    raise AssertionError("decision_function before finish_training did not raise pyimgano.core.errors.NotFittedError")


def check_scoring_changes_no_step(factory: Factory, images: CheckImages) -> None:
    """Scoring between steps, after ``finish_training``, changes no step that follows."""

    def losses(*, score: bool) -> list[float]:
        detector = factory()
        optimizer, batch = _begin(detector, images)
        found = []
        for _ in range(3):
            found += _steps(detector, optimizer, batch, 1)
            if score:
                detector.finish_training(images.train)
                detector.decision_function(images.good)
        return found

    plain, scored = losses(score=False), losses(score=True)
    assert plain == scored, f"losses without scoring between steps: {plain}; with it: {scored}"


def check_interrupted_training_goes_on(factory: Factory, images: CheckImages) -> None:
    """A model given another's ``training_state`` takes the steps that the other would have taken."""
    whole = factory()
    optimizer, batch = _begin(whole, images)
    _steps(whole, optimizer, batch, 2)
    state = {name: array.copy() for name, array in whole.training_state().items()}
    of_optimizer = copy.deepcopy(optimizer.state_dict())
    expected = _steps(whole, optimizer, batch, 2)
    resumed = factory()
    optimizer, batch = _begin(resumed, images)
    resumed.set_training_state(state)
    optimizer.load_state_dict(of_optimizer)
    losses = _steps(resumed, optimizer, batch, 2)
    assert losses == expected, f"uninterrupted, the losses go on with {expected}; resumed, with {losses}"


def check_masks_are_learned_from_or_refused(factory: Factory, images: CheckImages) -> None:
    """A step takes masks of defects exactly where ``learns_from_defects`` says so."""
    import numpy as np

    detector = factory()
    _begin(detector, images)
    batch = [images.good[0], images.defective[0]]
    marked = np.zeros(batch[1].shape[:2], dtype=bool)
    marked[: marked.shape[0] // 2] = True
    if detector.learns_from_defects:
        loss = float(detector.training_step(batch, [None, marked]).detach())
        assert math.isfinite(loss), f"the loss of a batch with a defect is {loss}"
        return
    try:
        detector.training_step(batch, [None, marked])
    except ParameterError:
        return
    raise AssertionError("learns_from_defects is False, and a step with a mask did not raise ParameterError")


FINETUNABLE_CHECKS: tuple[Callable[[Factory, CheckImages], None], ...] = (
    check_is_finetunable,
    check_unknown_mode_is_refused,
    check_every_mode_takes_a_step,
    check_training_is_repeatable,
    check_unfinished_training_does_not_score,
    check_scoring_changes_no_step,
    check_interrupted_training_goes_on,
    check_masks_are_learned_from_or_refused,
)


def finetunable_checks() -> list[tuple[str, Callable[[Factory, CheckImages], None]]]:
    """Return the name and the function of every check."""
    return [(check.__name__, check) for check in FINETUNABLE_CHECKS]
